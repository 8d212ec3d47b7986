"""Finding something to buy, in either language; and staff who change what is sold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.shop import Shop, Visitor, fresh, until
from tests.shop.goods import goods

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_the_tree_of_categories_counts_every_product(shop: Shop):
    tree = (await shop.guest().get("/categories")).json
    tree = tree["items"] if isinstance(tree, dict) else tree
    assert len(tree) > 10
    leaf = goods()[0].category_path
    (department,) = [node for node in tree if node["id"] == leaf[0]]
    assert department["product_count"] >= 1
    assert {node["id"] for node in _all(tree)} >= set(leaf)


async def test_pages_of_a_list_repeat_nothing_and_skip_nothing(shop: Shop):
    seen: list[tuple[int, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await shop.guest().get("/products", sort="price", limit=17, cursor=cursor)).json
        seen += [(item["price"]["amount"], item["id"]) for item in page["items"]]
        cursor = page["next_cursor"]
    assert sorted(id_ for _, id_ in seen) == sorted(product.id for product in goods())
    assert [price for price, _ in seen] == sorted(price for price, _ in seen)


async def test_a_product_is_found_by_its_name_in_both_languages(shop: Shop):
    product = next(product for product in goods() if "pizza" in product.name.lower() or "cheese" in product.name.lower())
    for language, name in (("en", product.name), ("ru", product.name_ru)):
        page = (await shop.guest(**{"accept-language": language}).get("/products", query=name)).json
        assert page["items"][0]["id"] == product.id, (language, name, [item["name"] for item in page["items"][:3]])
        assert page["items"][0]["name"] == name


async def test_a_typo_is_forgiven(shop: Shop):
    right = (await shop.guest().get("/products", query="shredded cheese")).json
    typed = (await shop.guest().get("/products", query="shreded chesee")).json
    assert right["total"] > 0
    assert "cheese" in typed["items"][0]["name"].lower()


async def test_facets_count_what_choosing_them_would_find(shop: Shop):
    guest = shop.guest()
    page = (await guest.get("/products", query="cheese")).json
    for facet in page["facets"]["category"][:3]:
        assert (await guest.get("/products", query="cheese", category=facet["value"])).json["total"] == facet["count"]
    for facet in page["facets"]["brand"][:3]:
        assert (await guest.get("/products", query="cheese", brand=facet["value"])).json["total"] == facet["count"]


async def test_a_category_includes_what_is_below_it(shop: Shop):
    leaf = goods()[0].category_path
    found = (await shop.guest().get("/products", category=leaf[0], limit=100)).json
    assert {item["id"] for item in found["items"]} == {product.id for product in goods() if product.category_path[0] == leaf[0]}


async def test_price_bounds_are_inclusive(shop: Shop):
    price = goods()[0].price_cents
    found = (await shop.guest().get("/products", price_min=price, price_max=price, limit=100)).json
    assert {item["id"] for item in found["items"]} == {product.id for product in goods() if product.price_cents == price}


async def test_what_is_being_typed_is_completed(shop: Shop):
    items = (await shop.guest().get("/products/suggest", query="chee")).json["items"]
    assert any("cheese" in item["text"].lower() for item in items)
    assert len(items) <= 10


async def test_an_unchanged_product_is_not_sent_again(shop: Shop):
    path = f"/products/{shop.product()}"
    first = await shop.guest().get(path)
    again = await shop.guest(**{"if-none-match": first.headers["etag"]}).get(path)
    assert (again.status, again.body) == (304, b"")


async def test_a_price_that_staff_change_is_what_a_shopper_sees_next(shop: Shop):
    admin, product_id = await shop.staff("admin"), shop.product()
    read = await shop.guest().get(f"/products/{product_id}")
    changed = await admin.patch(f"/products/{product_id}", {"price": {"amount": 777, "currency": "USD"}}, if_match=read.headers["etag"])
    assert changed.status == 200
    assert (await shop.guest().get(f"/products/{product_id}")).json["price"]["amount"] == 777
    stale = await admin.patch(f"/products/{product_id}", {"price": {"amount": 778, "currency": "USD"}}, if_match=read.headers["etag"])
    assert stale.status == 412
    await until(lambda: _lists(shop, product_id, price=777), "the list shows the new price")


async def test_a_new_product_can_be_found_and_a_withdrawn_one_cannot(shop: Shop):
    admin, id_ = await shop.staff("admin"), f"new-{fresh()[:12]}"
    product = {
        "id": id_, "name": "Walnut zeppelin lamp", "description": "It floats.", "category": goods()[0].category_id, "brand": "Airy",
        "price": {"amount": 4990, "currency": "USD"},
    }  # fmt: skip
    added = await admin.once("/products", product)
    assert added.status == 201, added
    assert added.headers["location"].endswith(id_)
    await until(lambda: _found(shop, "zeppelin", [id_]), "the new product is found")
    assert (await admin.delete(f"/products/{id_}")).status == 204
    await until(lambda: _found(shop, "zeppelin", []), "the withdrawn product is not found any more")
    refused = await shop.guest().put(f"/cart/items/{id_}", {"quantity": 1})
    assert refused.status in (404, 409)


async def test_an_import_tells_of_each_bad_row_and_takes_the_others(shop: Shop):
    admin, id_ = await shop.staff("admin"), f"row-{fresh()[:12]}"
    rows = f"id,name,category,price\n{id_},Copper kettle,{goods()[0].category_id},1999\n{id_}-b,,nowhere,-5\n"
    reply = await admin.ask("POST", "/products/import", raw=rows.encode(), content_type="text/csv")
    assert reply.status == 200, reply
    assert (reply.json["rows"], reply.json["added"], reply.json["rejected"]) == (2, 1, 1)
    assert all(fault["line"] == 3 for fault in reply.json["errors"])
    assert (await shop.guest().get(f"/products/{id_}")).status == 200
    await until(lambda: _found(shop, "copper kettle", [id_]), "what was imported is found")


async def test_a_product_page_leads_on_to_others(shop: Shop):
    found = await shop.guest().get(f"/products/{shop.product()}/recommendations")
    assert found.status == 200
    assert set(found.json) >= {"bought_together", "similar"}


async def test_a_product_has_a_picture(shop: Shop):
    picture = (await shop.guest().get(f"/products/{shop.product()}")).json["pictures"][0]
    reply = await Visitor(shop, prefix="").get(picture)
    assert (reply.status, reply.headers["content-type"]) == (200, "image/svg+xml")
    assert b"<svg" in reply.body


async def test_words_that_staff_call_the_same_find_the_same(shop: Shop):
    admin, guest = await shop.staff("admin"), shop.guest()
    kept = (await admin.get("/catalog/synonyms")).json
    try:
        assert (await admin.put("/catalog/synonyms", {"groups": [["fromagerie", "cheese"]]})).status == 200
        found = (await guest.get("/products", query="fromagerie")).json["items"]
        assert found
        assert "cheese" in found[0]["name"].lower()
    finally:
        await admin.put("/catalog/synonyms", kept)


async def test_the_index_is_built_anew_while_it_serves(shop: Shop):
    admin, guest = await shop.staff("admin"), shop.guest()
    before = (await guest.get("/products", query="cheese", limit=100)).json["total"]
    rebuilt, *meanwhile = await asyncio.gather(admin.post("/catalog/index/rebuild"), *(guest.get("/products", query="cheese", limit=99) for _ in range(5)))
    assert rebuilt.json["products"] >= len(goods())
    assert {page.json["total"] for page in meanwhile} == {before}
    assert (await guest.get("/products", query="cheese", limit=98)).json["total"] == before


async def _lists(shop: Shop, product_id: str, price: int) -> bool:
    page = (await shop.guest().get("/products", price_min=price, price_max=price, limit=100)).json
    return product_id in {item["id"] for item in page["items"]}


async def _found(shop: Shop, query: str, ids: list[str]) -> bool:
    return [item["id"] for item in (await shop.guest().get("/products", query=query)).json["items"]] == ids


def _all(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        yield node
        yield from _all(node["children"])
