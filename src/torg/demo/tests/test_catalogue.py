"""What the demonstration shop promises about its products, their names and its categories."""

import re
from collections import Counter
from datetime import UTC

import pytest

from torg.contexts.catalog.adapters.pictures_drawn import draw
from torg.contexts.catalog.adapters.pictures_drawn.shapes import read_shapes
from torg.demo.abbreviations import unread_words
from torg.demo.catalogue import DemoProduct, categories, products
from torg.demo.source import source_products
from torg.demo.vocabulary import NOT_GOODS, read_vocabulary

CYRILLIC = re.compile("[А-Яа-яё]")


@pytest.fixture(scope="module")
def sold() -> list[DemoProduct]:
    return list(products())


@pytest.fixture(scope="module")
def everything() -> list[DemoProduct]:
    return list(products(all_products=True))


def test_at_least_twenty_thousand_products_have_an_observed_price(sold: list[DemoProduct]) -> None:
    assert 20_000 <= len(sold) <= 20_815
    assert all(product.price_observed for product in sold)


def test_all_products_begin_with_the_sold_ones_word_for_word(sold: list[DemoProduct], everything: list[DemoProduct]) -> None:
    assert len(everything) > 88_000
    assert everything[: len(sold)] == sold
    assert not any(product.price_observed for product in everything[len(sold) :])


def test_ids_are_unique(everything: list[DemoProduct]) -> None:
    assert len({product.id for product in everything}) == len(everything)


def test_second_reading_tells_the_same(sold: list[DemoProduct]) -> None:
    assert list(products()) == sold


def test_names_of_sold_products_are_readable(sold: list[DemoProduct]) -> None:
    assert {product.name: found for product in sold if (found := unread_words(product.name))} == {}


def test_check_of_names_finds_what_a_till_would_print() -> None:
    assert unread_words("SFT DRNK SNGL SRV BTL CARB (EX") != []
    assert unread_words("Northfield frozen frozen pizza") == ["frozen"]
    assert unread_words("Northfield frozen pizza, premium, pepperoni, 22 oz") == []


def test_names_of_sold_products_differ(sold: list[DemoProduct]) -> None:
    counted = Counter(product.name for product in sold)
    assert sum(count - 1 for count in counted.values()) < 20


def test_names_and_categories_are_russian_too(sold: list[DemoProduct]) -> None:
    for product in sold:
        assert CYRILLIC.search(product.name_ru), product
        assert CYRILLIC.search(product.description_ru), product
        assert all(CYRILLIC.search(name) for name in product.category_names_ru), product


def test_frozen_pizza_is_called_so_in_both_languages(sold: list[DemoProduct]) -> None:
    pizzas = [product for product in sold if product.category_path[2].startswith("frozen.frozen-pizza-and-snacks.frozen-pizza")]
    assert len(pizzas) > 100
    assert all("frozen pizza" in product.name and "Пицца замороженная" in product.name_ru for product in pizzas)


def test_prices_are_positive_and_old_ones_higher(everything: list[DemoProduct]) -> None:
    assert all(product.price_cents >= 1 for product in everything)
    assert all(product.old_price_cents > product.price_cents for product in everything if product.old_price_cents is not None)
    assert all(product.popularity > 0 for product in everything if product.price_observed)


def test_weights_and_dates_are_plausible(everything: list[DemoProduct]) -> None:
    assert all(20 <= product.weight_grams <= 25_000 for product in everything)
    assert all(product.created_at.tzinfo is UTC and 2014 <= product.created_at.year <= 2016 for product in everything)


def test_category_counts_add_up(sold: list[DemoProduct]) -> None:
    tree = categories(sold)
    assert sum(department.product_count for department in tree) == len(sold)
    for department in tree:
        assert department.product_count == sum(category.product_count for category in department.children)
        for category in department.children:
            assert category.product_count == sum(kind.product_count for kind in category.children)


def test_category_ids_are_unique_and_name_one_thing(everything: list[DemoProduct]) -> None:
    names: dict[str, set[tuple[str, str]]] = {}
    for product in everything:
        for at in range(3):
            names.setdefault(product.category_path[at], set()).add((product.category_names[at], product.category_names_ru[at]))
    assert {category: found for category, found in names.items() if len(found) > 1} == {}


def test_what_is_no_product_is_left_out(everything: list[DemoProduct]) -> None:
    source = {row.product_id: row for row in source_products()}
    kept = {source[product.id].department for product in everything} | {source[product.id].category for product in everything}
    assert not kept & {"COUPON", "FUEL", "CHARITABLE CONT", "POSTAL CENTER", "CIGARETTES", "BOTTLE DEPOSITS"}


def test_every_word_table_speaks_both_languages() -> None:
    words = read_vocabulary()
    for name, kind in words.kinds.items():
        assert kind is None or (kind.name != NOT_GOODS and CYRILLIC.search(kind.name_ru)), name
    for name, category in words.categories.items():
        assert category is None or CYRILLIC.search(category.name_ru), name


def test_every_product_has_a_drawing_of_its_own_kind(everything: list[DemoProduct]) -> None:
    known = read_shapes()
    assert {product.picture for product in everything if product.picture.partition(".")[0] not in known} == set()
    assert len(known) >= 25


def test_pictures_are_small_and_always_the_same(sold: list[DemoProduct]) -> None:
    for product in sold[::20]:
        drawn = draw(product.id, product.picture, product.brand, product.label)
        assert len(drawn.encode()) < 4096
        assert drawn == draw(product.id, product.picture, product.brand, product.label)
        assert "{" not in drawn


def test_picture_of_an_unknown_shape_is_a_box_and_its_texts_are_escaped() -> None:
    drawn = draw("1", "no such shape", "A & B", "<1 oz>")
    assert "A &amp; B" in drawn
    assert "&lt;1 oz&gt;" in drawn
