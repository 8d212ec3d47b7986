"""The suite of the port ProductIndex: words, relevance, suggestions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from torg.contexts.catalog.ports import (
    PastQuery,
    ProductIndex,
    SearchRequest,
)
from torg.contexts.catalog.tests.conftest import Shop
from torg.contexts.catalog.tests.index_products import ids, product, put

# words


FORMS = [
    ("Running shoes", "shoe"),
    ("Fresh berry jam", "berries"),
    ("Кроссовки беговые", "кроссовок"),
    ("Кроссовки беговые", "беговых кроссовках"),
    ("Чашка чайная", "чашек"),
    ("Огурцы солёные", "огурец соленый"),
    ("Яйцо куриное", "яиц"),
    ("Замороженная пицца", "замороженные пиццы"),
    ("Мёд липовый", "мед"),
    ("Crème brûlée", "creme brulee"),
    ("Kellogg's flakes", "kellogg flakes"),
    ("Вода 500г", "вода 500 г"),
    ("Корм для кошек", "корм кошка"),
]


@pytest.mark.parametrize(("name", "query"), FORMS)
def test_other_form_of_a_word_finds(shelf: Callable[..., Shop], name: str, query: str) -> None:
    names = dict.fromkeys(name for name, _ in FORMS)
    page = shelf(*(product(one, one, "", "nowhere") for one in ("Something else", *names))).search(SearchRequest(text=query))
    assert [card.id for card in page.items] == [name]
    assert page.corrected_query is None


async def test_either_language_finds_a_product_with_both_names(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza", "Замороженная пицца"))
    assert await ids(index, "pizza") == await ids(index, "пицца") == await ids(index, "пицца frozen") == ["1"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("frozne piza", "frozen pizza"),
        ("Frozen Piza", "frozen pizza"),
        ("piza for family", "pizza for family"),
        ("замороженая пица", "замороженая пицца"),
        ("gbwwf", "пицца"),
        ("зшяяф", "pizza"),
        ("ghjlfдт", None),
    ],
)
def test_typing_mistake_is_forgiven_and_told(shelf: Callable[..., Shop], typed: str, meant: str | None) -> None:
    shop = shelf(
        product("1", "Frozen pizza", "Замороженная пицца", description="for the whole family"),
        product("2", "Pita bread", "Пита", "boots", popularity=9),
        product("3", "Frozen yoghurt", "Замороженный йогурт", "boots", popularity=9),
    )
    page = shop.search(SearchRequest(text=typed))
    assert page.corrected_query == meant
    assert [card.id for card in page.items] == (["1"] if meant else [])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("shampun", "шампунь"),
        ("korm dlya koshek", "корм для кошек"),
        ("zubnaya pasta", "зубная паста"),
        ("pitsa", "пицца"),
        ("Torg shampun", "torg шампунь"),
    ],
)
def test_russian_in_latin_letters_is_understood(shelf: Callable[..., Shop], typed: str, meant: str) -> None:
    names = {"шампунь": "Шампунь", "корм для кошек": "Корм для кошек", "зубная паста": "Зубная паста", "пицца": "Пицца", "torg шампунь": "Шампунь детский"}
    shop = shelf(
        *(product(ru, "Thing", name, "nowhere", brand="Torg" if "torg" in ru else "") for ru, name in names.items()),
        product("pasta", "Pasta"),
    )
    page = shop.search(SearchRequest(text=typed))
    assert page.corrected_query == meant
    assert meant in [card.id for card in page.items]


async def test_word_that_is_still_being_typed_is_completed(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza"), product("2", "Boots", "", "boots"))
    page = await index.search(SearchRequest(text="frozen piz"))
    assert ([card.id for card in page.items], page.corrected_query) == (["1"], None)


async def test_word_that_nobody_knows_does_not_spoil_the_others(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza"), product("2", "Boots", "", "boots"))
    assert await ids(index, "pizza qwrtzxcv") == ["1"]
    assert await ids(index, "qwrtzxcv") == []
    assert await ids(index, "?!") == []


async def test_synonyms_work_at_once_and_both_ways(index: ProductIndex) -> None:
    await put(index, product("1", "Fizzy drink", "", "nowhere"), product("2", "Ice cream", "", "elsewhere"))
    assert await ids(index, "лимонад") == []
    await index.set_synonyms([["fizzy drink", "soda pop", "лимонад"], ["мороженое", "ice cream"]])
    assert await ids(index, "лимонада") == await ids(index, "soda pop") == await ids(index, "fizzy drinks") == ["1"]
    assert await ids(index, "мороженое") == ["2"]
    await index.set_synonyms([["fizzy and sweet", "the drink"]])
    assert await ids(index, "fizzy and sweet") == ["1"]
    await index.set_synonyms([])
    assert await ids(index, "лимонад") == []


# relevance


async def test_name_comes_before_category_and_category_before_description(index: ProductIndex) -> None:
    await put(
        index,
        product("description", "Cutter", "", "nowhere", description="cuts frozen pizza", popularity=900),
        product("not at all", "Frozen peas", "", "nowhere"),
        product("half", "Frozen chips", "", "frozen-pizza", popularity=500),
        product("mixed", "Pizza", "", "frozen-pizza", popularity=1),
        product("words", "Pizza, the best, frozen", "", "nowhere"),
        product("phrase", "Frozen pizza", "", "nowhere"),
        product("phrase in its category", "Large frozen pizza"),
    )
    assert await ids(index, "frozen pizza") == ["phrase in its category", "phrase", "words", "mixed", "half", "description"]


async def test_two_words_stand_together_in_either_order(index: ProductIndex) -> None:
    await put(index, product("apart", "Масло для салата, оливковое", popularity=9), product("together", "Масло оливковое", popularity=1))
    assert await ids(index, "оливковое масло") == ["together", "apart"]


async def test_popularity_breaks_ties_of_relevance(index: ProductIndex) -> None:
    await put(index, *(product(str(popularity), "Pizza", popularity=popularity) for popularity in (3, 90, 7)))
    assert await ids(index, "pizza") == ["90", "7", "3"]


# suggestions


async def test_suggestions_are_queries_categories_and_products(index: ProductIndex) -> None:
    await put(index, product("1", "Frozen pizza Margherita", "Пицца Маргарита"))
    index.note_query("frozen pizza")
    found = await index.suggest("froz")
    assert [(one.kind, one.text, one.id) for one in found] == [
        ("query", "frozen pizza", None),
        ("category", "Frozen pizza", "frozen-pizza"),
        ("product", "Frozen pizza Margherita", "1"),
    ]


@pytest.mark.parametrize("typed", ["пиц", "gbw", "замороженная пи", "Пицца мар", "пиццца"])
def test_suggestions_come_in_the_language_typed(shelf: Callable[..., Shop], typed: str) -> None:
    shop = shelf(product("1", "Frozen pizza Margherita", "Замороженная пицца Маргарита"))
    assert "Замороженная пицца Маргарита" in shop.suggest(typed)


async def test_products_are_suggested_by_their_names_not_their_categories(index: ProductIndex) -> None:
    await put(index, product("1", "Calzone", popularity=900), product("2", "Pizza Margherita"))
    assert [one.id for one in await index.suggest("pizz") if one.kind == "product"] == ["2"]


async def test_suggestions_are_at_most_as_many_as_asked(index: ProductIndex) -> None:
    await put(index, *(product(f"{n}", f"Pizza {n}") for n in range(30)))
    assert len(await index.suggest("pizza")) == 10
    assert len(await index.suggest("pizza", limit=2)) == 2
    assert await index.suggest("") == ()


@pytest.mark.parametrize(
    ("asked", "understood"),
    [
        ("frozen pizza", True),
        ("pizzas", True),
        ("frozne piza", True),
        ("pie", True),
        ("frozen piz", False),
        ("pizza for jane.doe@example.com", False),
        ("qwrtzxcv", False),
        ("", False),
    ],
)
def test_only_queries_in_the_catalogues_own_words_are_understood(shelf: Callable[..., Shop], asked: str, understood: bool) -> None:
    shop = shelf(product("only", "Frozen pizza"), synonyms=[["pizza", "pie"]])
    assert shop.search(SearchRequest(text=asked)).understood == understood


async def test_past_queries_are_bounded_and_keep_the_frequent(index: ProductIndex) -> None:
    index.remember_queries([*(PastQuery(f"pizza {n}", 1) for n in range(3000)), PastQuery("pizza hot", 50), *(PastQuery(f"cola {n}", 1) for n in range(3000))])
    kept = index.past_queries()
    assert len(kept) <= 5000
    assert "pizza hot" in {query.text for query in kept}
    assert (await index.suggest("pizza"))[0].text == "pizza hot"


async def test_fresh_queries_are_told_once_and_survive_what_others_remember(index: ProductIndex) -> None:
    index.note_query("Frozen  PIZZA")
    index.note_query("frozen pizza")
    index.remember_queries([PastQuery("cola", 3)])
    assert set(index.past_queries()) == {PastQuery("frozen pizza", 2), PastQuery("cola", 3)}
    assert index.fresh_queries() == (PastQuery("frozen pizza", 2),)
    assert index.fresh_queries() == ()
    index.remember_queries([PastQuery("cola", 3)])
    assert index.past_queries() == (PastQuery("cola", 3),)
