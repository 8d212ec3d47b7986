"""The catalogue's rules, without a loop."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog import model
from torg.contexts.catalog.tests.house import CATEGORIES, new_product, usd
from torg.kit.errors import Invalid
from torg.kit.values import Language, Money

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 3, 2, tzinfo=UTC)
TREE = model.CategoryTree(()).with_(CATEGORIES)
PIZZA = model.added(new_product("p1", "Pizza", name_ru="Пицца"), NOW)


def test_a_new_price_is_told_with_the_old_one() -> None:
    after, events = model.edited(PIZZA, {"price": usd(600)}, LATER)
    assert events == [c.PriceChanged(product_id="p1", price=usd(600), old_price=usd(500))]
    assert (after.version, after.updated_at, after.created_at) == (2, LATER, NOW)


def test_a_new_price_and_name_are_two_facts() -> None:
    _, events = model.edited(PIZZA, {"price": usd(600), "name": "Calzone"}, LATER)
    assert [type(event) for event in events] == [c.PriceChanged, c.ProductChanged]


def test_an_edit_that_changes_nothing_has_not_happened() -> None:
    assert model.edited(PIZZA, {"price": usd(500), "name": "Pizza"}, LATER) == (PIZZA, [])


def test_a_withdrawn_product_is_no_longer_on_sale_and_may_come_back() -> None:
    gone, events = model.edited(PIZZA, {"status": "withdrawn"}, LATER)
    assert (gone.on_sale, events) == (False, [c.ProductWithdrawn("p1")])
    assert model.edited(gone, {"status": "withdrawn"}, LATER) == (gone, [])
    back, events = model.edited(gone, {"status": "on_sale"}, LATER)
    assert (back.on_sale, events) == (True, [c.ProductChanged(product_id="p1")])


def test_an_import_of_the_same_says_nothing_new() -> None:
    assert model.brought_up_to_date(PIZZA, new_product("p1", "Pizza", name_ru="Пицца"), LATER) == (PIZZA, [])


def test_an_import_forgets_no_sales() -> None:
    sold, _ = model.edited(PIZZA, {"popularity": 40}, NOW)
    after, _ = model.brought_up_to_date(sold, new_product("p1", "Pizza", popularity=3), LATER)
    assert after.popularity == 40


def test_unknown_category_and_foreign_money_are_named_together() -> None:
    faults = model.faults_of({"category": "shoes", "price": Money(1, "RUB"), "old_price": Money(2, "RUB")}, TREE, "USD")
    assert [fault.field for fault in faults] == ["category", "price", "old_price"]


def test_a_path_runs_from_the_department_down_in_the_readers_language() -> None:
    assert TREE.path_ids("dairy.milk") == ("dairy", "dairy.milk")
    assert [ref.name for ref in TREE.refs("dairy.milk", Language.RU)] == ["Молочное", "Молоко"]
    assert TREE.path_ids("nowhere") == ()


def test_a_category_without_a_parent_that_exists_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        TREE.with_([c.Category(id="a", name="A", parent="nowhere")])
    assert refused.value.errors[0].field == "categories.0.parent"


def test_categories_may_come_in_any_order_but_not_in_a_circle() -> None:
    assert model.CategoryTree(()).with_(tuple(reversed(CATEGORIES))).path_ids("dairy.milk") == ("dairy", "dairy.milk")
    with pytest.raises(Invalid, match="lie in itself"):
        TREE.with_([c.Category(id="dairy", name="Dairy", parent="dairy.milk")])
    with pytest.raises(Invalid, match="lie in itself"):
        TREE.with_([c.Category(id="dairy", name="Dairy", parent="dairy")])


def test_a_category_counts_what_is_below_it() -> None:
    tree = TREE.shown({"dairy.milk": 3, "dairy": 1, "frozen.pizza": 2}, Language.EN)
    assert [(node.id, node.product_count) for node in tree] == [("frozen", 2), ("dairy", 4)]
    assert tree[1].children[0].slug == "milk"


def test_a_slug_has_only_letters_digits_and_dashes() -> None:
    assert model.slug("Beer, wine & spirits — men's") == "beer-wine-spirits-mens"


def test_a_view_speaks_the_readers_language_and_falls_back_to_english() -> None:
    size = c.Attribute(name="Size", value="22 oz", name_ru="Вес", value_ru="624 г")
    product = model.added(new_product("p1", "Pizza", name_ru="Пицца", description="Round", attributes=(size,)), NOW)
    shown = model.view(model.Stocked(product, model.Figures(3, 450, 2)), TREE, Language.RU)
    assert (shown.name, shown.description) == ("Пицца", "Round")
    assert shown.attributes == (c.ShownAttribute("Вес", "624 г"),)
    assert (shown.quantity, shown.in_stock, shown.rating) == (3, True, c.RatingSummary(4.5, 2))
    assert shown.pictures == ("/pictures/p1.svg",)


def test_an_offer_of_a_withdrawn_product_says_so() -> None:
    gone, _ = model.edited(PIZZA, {"status": "withdrawn"}, NOW)
    offered = model.offer(gone, TREE)
    assert (offered.on_sale, offered.category_path, offered.name_ru) == (False, ("frozen", "frozen.pizza"), "Пицца")
