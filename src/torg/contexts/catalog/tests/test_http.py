"""The catalogue as a client sees it."""

from __future__ import annotations

import pytest

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.tests.house import ADMIN, House, new_product
from torg.contexts.inventory.contracts import StockChanged
from torg.kit.testing.http import ask

PIZZA = {"id": "p1", "name": "Pizza", "name_ru": "Пицца", "category": "frozen.pizza", "price": {"amount": 500, "currency": "USD"}, "weight_grams": 400}


async def added(house: House) -> str:
    """The ETag of a new product."""
    made = await house.ask("POST", "/products", PIZZA, who="admin")
    assert made.status == 201, made
    assert made.headers["location"] == "/api/v1/products/p1"
    return made.headers["etag"]


async def test_only_administrators_edit(house: House) -> None:
    edits = ("POST /products", "PATCH /products/p1", "DELETE /products/p1", "PUT /catalog/synonyms", "POST /products/import", "POST /catalog/index/rebuild")
    for method, path in map(str.split, edits):
        assert (await house.ask(method, path, {})).status == 401
        assert (await house.ask(method, path, {}, who="anna")).status == 403


async def test_a_product_is_shown_with_all_that_clients_rely_on(house: House) -> None:
    await added(house)
    shown = (await house.ask("GET", "/products/p1")).json
    assert shown["price"] == {"amount": 500, "currency": "USD"}
    assert shown["category_path"] == [{"id": "frozen", "name": "Frozen food"}, {"id": "frozen.pizza", "name": "Frozen pizza"}]
    assert shown["rating"] == {"average": 0.0, "count": 0}
    assert shown.keys() >= {"id", "name", "description", "category", "brand", "quantity", "in_stock", "pictures"}
    assert shown.keys() >= {"attributes", "variants", "created_at", "updated_at"}
    assert "old_price" not in shown


async def test_every_bad_field_is_named(house: House) -> None:
    bad = {"id": "a b", "name": "", "category": "frozen.pizza", "price": {"amount": -1, "currency": "USD"}, "pictures": ["ftp://x"], "colour": "red"}
    refused = await house.ask("POST", "/products", bad, who="admin")
    assert refused.status == 422
    assert {error["field"] for error in refused.json["errors"]} == {"id", "name", "price", "pictures", "colour"}


async def test_an_old_etag_refuses_the_edit_and_a_new_one_permits_it(house: House) -> None:
    first = await added(house)
    changed = await house.ask("PATCH", "/products/p1", {"price": {"amount": 600, "currency": "USD"}}, who="admin", if_match=first)
    assert (changed.status, changed.json["price"]["amount"]) == (200, 600)
    for method, body in (("PATCH", {"name": "X"}), ("DELETE", None)):
        late = await house.ask(method, "/products/p1", body, who="admin", if_match=first)
        assert (late.status, late.json["code"]) == (412, "product.changed")
        assert (await house.ask(method, "/products/p1", body, who="admin", if_match='"nonsense"')).status == 412
    assert (await house.ask("DELETE", "/products/p1", who="admin", if_match=changed.headers["etag"])).status == 204
    assert (await house.ask("GET", "/products/p1")).status == 404


async def test_stock_that_moves_spoils_no_edit(house: House) -> None:
    first = await added(house)
    await house.react(StockChanged("p1", 3))
    shown = await house.ask("GET", "/products/p1")
    assert shown.headers["etag"] != first
    assert (await house.ask("PATCH", "/products/p1", {"name": "X"}, who="admin", if_match=f'W/"0-a", {first}')).status == 200


async def test_an_unchanged_product_need_not_be_sent_again(house: House) -> None:
    await added(house)
    for _ in range(2):  # made, then kept
        etag = (await house.ask("GET", "/products/p1")).headers["etag"]
        assert (await house.ask("GET", "/products/p1", if_none_match=etag)).status == 304
    assert (await house.ask("GET", "/products/p1", if_none_match=etag, accept_language="ru")).status == 200


async def test_each_reader_gets_their_language_from_the_kept_answers_too(house: House) -> None:
    await added(house)
    for _ in range(2):
        assert (await house.ask("GET", "/products/p1", accept_language="ru-RU,ru")).json["name"] == "Пицца"
        assert (await house.ask("GET", "/products/p1", accept_language="de, ru;q=0.5")).json["name"] == "Пицца"
        assert (await house.ask("GET", "/products/p1")).json["name"] == "Pizza"


async def test_kept_answers_follow_price_stock_and_withdrawal(house: House) -> None:
    await added(house)
    await house.ask("GET", "/products/p1")
    await house.react(StockChanged("p1", 3))
    assert (await house.ask("GET", "/products/p1")).json["quantity"] == 3
    await house.ask("PATCH", "/products/p1", {"price": {"amount": 1, "currency": "USD"}}, who="admin")
    assert (await house.ask("GET", "/products/p1")).json["price"]["amount"] == 1
    assert (await house.ask("GET", "/categories")).json["items"][0]["product_count"] == 1
    await house(c.WithdrawProduct(product_id="p1", staff=ADMIN))
    assert (await house.ask("GET", "/products/p1")).status == 404
    assert (await house.ask("GET", "/categories")).json["items"][0]["product_count"] == 0


async def test_a_retried_post_adds_one_product(house: House) -> None:
    body = {name: value for name, value in PIZZA.items() if name != "id"}
    first = await house.ask("POST", "/products", body, who="admin", idempotency_key="k1")
    again = await house.ask("POST", "/products", body, who="admin", idempotency_key="k1")
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert (await house.ask("GET", "/categories")).json["items"][0]["product_count"] == 1


NONSENSE = "limit=1000 limit=0 cursor=garbage cursor=%00 sort=colour price_min=-1 price_max=x rating_min=6 in_stock=maybe colour=red".split()


@pytest.mark.parametrize("query", NONSENSE)
async def test_a_question_that_makes_no_sense_is_refused(house: House, query: str) -> None:
    refused = await house.ask("GET", f"/products?{query}")
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, query.partition("=")[0])


async def test_empty_filters_say_nothing(house: House) -> None:
    await house.stock(new_product("p1"))
    await house.feed.rebuild()
    assert (await house.ask("GET", "/products?query=&category=&brand=")).json["total"] == 1


async def test_pages_neither_repeat_nor_skip(house: House) -> None:
    await house.stock(*(new_product(f"p{n}") for n in range(25)))
    await house.feed.rebuild()
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await house.ask("GET", f"/products?sort=price&limit=10&cursor={cursor}")).json
        cursor = page["next_cursor"]
        assert page["total"] == 25
        seen += [item["id"] for item in page["items"]]
    assert len(seen) == len(set(seen)) == 25


async def test_suggestions_and_recommendations_answer(house: House) -> None:
    await house.stock(new_product("p1", "Frozen pizza"), new_product("p2", "Frozen pizza"))
    await house.feed.rebuild()
    assert (await house.ask("GET", "/products/suggest?query=piz")).json["items"]
    assert (await house.ask("GET", "/products/suggest")).status == 422
    assert [item["id"] for item in (await house.ask("GET", "/products/p1/recommendations")).json["similar"]] == ["p2"]


async def test_staff_edit_synonyms(house: House) -> None:
    groups = [["sneakers", "trainers"]]
    assert (await house.ask("PUT", "/catalog/synonyms", {"groups": groups}, who="admin")).json == {"groups": groups}
    assert (await house.ask("GET", "/catalog/synonyms", who="admin")).json == {"groups": groups}
    assert (await house.ask("PUT", "/catalog/synonyms", {"groups": [["alone"]]}, who="admin")).status == 422
    assert (await house.ask("POST", "/catalog/index/rebuild", who="admin")).json["products"] == 0


async def test_a_product_has_a_drawn_picture_that_browsers_keep(house: House) -> None:
    made = await house.ask("POST", "/products", PIZZA | {"drawing": "jar.red", "drawing_label": "<1 oz>", "brand": "A & B"}, who="admin")
    (url,) = made.json["pictures"]
    drawn = await ask(house.app, "GET", url)
    assert (drawn.status, drawn.headers["content-type"]) == (200, "image/svg+xml")
    assert "max-age" in drawn.headers["cache-control"]
    assert b"&lt;1 oz&gt;" in drawn.body
    assert (await ask(house.app, "GET", url, if_none_match=drawn.headers["etag"])).status == 304
    await house.ask("PATCH", "/products/p1", {"drawing_label": "2 oz"}, who="admin")
    assert b"2 oz" in (await ask(house.app, "GET", url)).body
    for missing in ("/pictures/p1", "/pictures/p2.svg", "/pictures/.svg", "/pictures/p1.png"):
        assert (await ask(house.app, "GET", missing)).status == 404
