"""Products and categories over a real store."""

from __future__ import annotations

from typing import Any

import pytest

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.handlers import HANDLERS
from torg.contexts.catalog.tests.house import ADMIN, House, new_product, usd
from torg.contexts.inventory.contracts import StockChanged, StocksChanged, Units
from torg.contexts.review.contracts import RatingChanged
from torg.kit.calls import LoopbackCalls
from torg.kit.errors import DomainError, Invalid, NotFound, PreconditionFailed
from torg.kit.messages import Command, Query
from torg.kit.module import bound
from torg.kit.values import Language, Money


async def add(house: House, **more: object) -> c.ProductView:
    said = {"staff": ADMIN, "id": "p1", "name": "Pizza", "category": "frozen.pizza", "price": usd(500)} | more
    return await house(c.AddProduct(**said))  # type: ignore[arg-type, no-any-return]


async def test_an_added_product_can_be_read_and_ordered(house: House) -> None:
    added = await add(house)
    assert added == await house(c.GetProduct(product_id="p1"))
    (offered,) = await house(c.GetOffers(("p1",)))
    assert (offered.price, offered.on_sale, offered.category_path) == (usd(500), True, ("frozen", "frozen.pizza"))
    told = c.ProductAdded(product_id="p1", name="Pizza", price=usd(500), category_path=("frozen", "frozen.pizza"), at=house.clock.now)
    assert await house.logged("p1") == [told]


async def test_a_product_without_an_id_gets_one(house: House) -> None:
    assert (await add(house, id="")).id == "00000000-0000-7000-8000-000000000001"


async def test_an_id_is_given_once(house: House) -> None:
    await add(house)
    with pytest.raises(DomainError) as refused:
        await add(house, name="Another")
    assert refused.value.code == "product.exists"


async def test_unknown_category_and_other_currency_are_refused_together(house: House) -> None:
    with pytest.raises(Invalid) as refused:
        await add(house, category="shoes", price=Money(1, "RUB"))
    assert [error.field for error in refused.value.errors] == ["category", "price"]


async def test_offers_come_in_the_order_asked_for_without_those_unknown(house: House) -> None:
    await house.stock(*(new_product(f"p{n}") for n in range(4)))
    offers = await house(c.GetOffers(("p3", "nothing", "p1", "p3")))
    assert [offer.product_id for offer in offers] == ["p3", "p1", "p3"]


async def test_a_new_price_is_in_the_next_offer(house: House) -> None:
    await house.stock(new_product("p1"), new_product("p2"))
    await house(c.GetOffers(("p1", "p2")))
    await house(c.ChangeProduct(product_id="p1", staff=ADMIN, price=usd(650)))
    assert [offer.price for offer in await house(c.GetOffers(("p1", "p2")))] == [usd(650), usd(500)]
    assert (await house.logged("p1"))[1:] == [c.PriceChanged(product_id="p1", price=usd(650), old_price=usd(500))]


async def test_a_renamed_parent_shows_in_the_next_offer_and_view(house: House) -> None:
    await house.stock(new_product("p1"))
    await house(c.GetOffers(("p1",)))
    await house(c.DefineCategories((c.Category(id="top", name="Top"), c.Category(id="frozen", name="Ice", parent="top"))))
    (offered,) = await house(c.GetOffers(("p1",)))
    assert offered.category_path == ("top", "frozen", "frozen.pizza")
    assert [ref.name for ref in (await house(c.GetProduct(product_id="p1"))).category_path] == ["Top", "Ice", "Frozen pizza"]


async def test_an_edit_of_an_old_version_is_refused(house: House) -> None:
    version = (await add(house)).version
    await house(c.ChangeProduct(product_id="p1", staff=ADMIN, name="Calzone", if_versions=(version,)))
    late = c.ChangeProduct(product_id="p1", staff=ADMIN, name="Soup", if_versions=(version,))
    for edit in (late, c.WithdrawProduct(product_id="p1", staff=ADMIN, if_versions=())):
        with pytest.raises(PreconditionFailed):
            await house(edit)
    assert (await house(c.GetProduct(product_id="p1"))).name == "Calzone"


async def test_what_an_edit_leaves_unset_stays(house: House) -> None:
    await add(house, description="Round", old_price=usd(700))
    changed = await house(c.ChangeProduct(product_id="p1", staff=ADMIN, old_price=None))
    assert (changed.description, changed.name, changed.version) == ("Round", "Pizza", 2)
    assert not changed.old_price


async def test_a_withdrawn_product_is_gone_for_readers_but_known_to_carts(house: House) -> None:
    await house.stock(new_product("p1"))
    await house(c.WithdrawProduct(product_id="p1", staff=ADMIN))
    with pytest.raises(NotFound):
        await house(c.GetProduct(product_id="p1"))
    assert [offer.on_sale for offer in await house(c.GetOffers(("p1",)))] == [False]
    await house(c.WithdrawProduct(product_id="p1", staff=ADMIN))
    assert (await house.logged("p1"))[1:] == [c.ProductWithdrawn("p1")]


async def test_a_product_that_does_not_exist_cannot_be_changed(house: House) -> None:
    for command in (c.ChangeProduct(product_id="p9", staff=ADMIN, name="X"), c.WithdrawProduct(product_id="p9", staff=ADMIN)):
        with pytest.raises(NotFound):
            await house(command)


async def test_importing_twice_changes_nothing_the_second_time(house: House) -> None:
    products = tuple(new_product(f"p{n}") for n in range(20))
    first = await house(c.ImportProducts(products=products))
    again = await house(c.ImportProducts(products=products))
    assert (first.added, first.changed, again.added, again.changed, again.unchanged) == (20, 0, 0, 0, 20)
    assert len(await house.logged("p7")) == 1


async def test_an_import_updates_what_differs_and_names_the_rows_it_refuses(house: House) -> None:
    await house.stock(new_product("p1"), new_product("p2"))
    bad = new_product("p3", category="shoes"), new_product("import"), new_product("p4", price=usd(-1))
    report = await house(c.ImportProducts(products=(new_product("p1", price=usd(1)), *bad, new_product("p5")), lines=(2, 3, 4, 6, 7)))
    assert (report.rows, report.added, report.changed, report.unchanged, report.rejected) == (5, 1, 1, 0, 3)
    assert [(error.line, error.field) for error in report.errors] == [(3, "category"), (4, "id"), (6, "price")]
    assert [offer.product_id for offer in await house(c.GetOffers(("p1", "p3", "p4", "p5")))] == ["p1", "p5"]


async def test_an_import_brings_a_withdrawn_product_back(house: House) -> None:
    await house.stock(new_product("p1"))
    await house(c.WithdrawProduct(product_id="p1", staff=ADMIN))
    await house.stock(new_product("p1"))
    assert (await house(c.GetProduct(product_id="p1"))).id == "p1"


async def test_the_last_row_of_an_id_holds(house: House) -> None:
    report = await house(c.ImportProducts(products=(new_product("p1", "First"), new_product("p1", "Second"))))
    assert (report.added, report.unchanged) == (1, 1)
    assert (await house(c.GetProduct(product_id="p1"))).name == "Second"


async def test_stock_and_rating_show_at_once_also_when_they_come_before_the_product(house: House) -> None:
    await house.react(StockChanged("p1", 7), RatingChanged(product_id="p1", average_hundredths=467, count=3))
    await house.stock(new_product("p1"))
    shown = await house(c.GetProduct(product_id="p1"))
    assert (shown.quantity, shown.in_stock, shown.rating) == (7, True, c.RatingSummary(4.67, 3))
    await house.react(StocksChanged((Units("p1", 0), Units("p2", 5))))
    shown = await house(c.GetProduct(product_id="p1"))
    assert (shown.quantity, shown.in_stock, shown.rating.count) == (0, False, 3)


async def test_the_tree_counts_products_on_sale(house: House) -> None:
    await house.stock(new_product("p1"), new_product("p2"), new_product("m1", category="dairy.milk"))
    await house(c.WithdrawProduct(product_id="p2", staff=ADMIN))
    tree = (await house(c.ListCategories(language=Language.RU))).items
    assert [(node.name, node.product_count) for node in tree] == [("Заморозка", 1), ("Молочное", 1)]
    assert [child.name for child in tree[1].children] == ["Молоко"]


async def test_an_id_in_a_list_of_ids_is_shown_when_it_is_on_sale(house: House) -> None:
    await house.stock(*(new_product(f"p{n}") for n in range(3)))
    await house(c.WithdrawProduct(product_id="p1", staff=ADMIN))
    shown = await house(c.ListProductsById(product_ids=("p2", "p1", "p0")))
    assert [item.id for item in shown] == ["p2", "p0"]


async def test_what_crosses_the_wire_comes_back_the_same(house: House) -> None:
    await house.stock(new_product("p1", old_price=usd(700), attributes=(c.Attribute(name="Colour", value="red"),)), new_product("p2"))
    call = LoopbackCalls(bound(HANDLERS, house.deps))
    questions: tuple[Query[Any] | Command[Any], ...] = (
        c.GetOffers(("p1", "p2")),
        c.GetProduct(product_id="p1"),
        c.ListProductsById(product_ids=("p1",)),
        c.ListProducts(),
        c.ListCategories(),
        c.Recommend(product_id="p1"),
        c.ChangeProduct(product_id="p1", staff=ADMIN, name="Calzone"),
    )
    for question in questions:
        assert await call(question) == await house(question), question
