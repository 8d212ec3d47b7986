"""Products for the index's suite, and the plain truth that its answers are compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from torg.contexts.catalog.ports import CategoryName, ProductDocument, ProductIndex, SearchRequest

NEW_YEAR = datetime(2024, 1, 1, tzinfo=UTC)

DEPARTMENTS = {
    "grocery": ("Grocery", "Бакалея", {"frozen-pizza": ("Frozen pizza", "Замороженная пицца"), "soda": ("Soft drinks", "Газировка")}),
    "shoes": ("Shoes", "Обувь", {"sneakers": ("Sneakers", "Кроссовки"), "boots": ("Boots", "Ботинки")}),
}
NOUNS = {
    "frozen-pizza": (("pizza", "пицца"), ("calzone", "кальцоне")),
    "soda": (("lemonade", "лимонад"), ("cola", "кола")),
    "sneakers": (("running shoes", "кроссовки беговые"), ("trainers", "кроссовки")),
    "boots": (("boots", "ботинки"), ("slippers", "тапочки")),
}
ADJECTIVES = (("classic", "классический"), ("red", "красный"), ("large", "большой"), ("family", "семейный"))
BRANDS = ("", "Acme", "Borealis", "Cascade")


def product(id_: str, name: str, name_ru: str = "", category: str = "frozen-pizza", /, **rest: object) -> ProductDocument:
    """A product for a penny, in stock, in a category of DEPARTMENTS."""
    figures = {"price": 1, "quantity": 1, "created_at": NEW_YEAR, "category_path": path_to(category)} | rest
    return ProductDocument(id=id_, name=name, name_ru=name_ru, **figures)  # type: ignore[arg-type]


def path_to(category: str) -> tuple[CategoryName, ...]:
    for department, (name, name_ru, below) in DEPARTMENTS.items():
        if category in below:
            return (CategoryName(department, name, name_ru), CategoryName(category, *below[category]))
    return (CategoryName(category, category, category),)


def assorted(count: int) -> list[ProductDocument]:
    """Products with many equal prices, ratings, dates and popularities, so that orders have ties to break."""
    random = Random(7)
    return [_any_product(random, f"p{number:04}") for number in range(count)]


def _any_product(random: Random, id_: str) -> ProductDocument:
    category = random.choice(list(NOUNS))
    (noun, noun_ru), (adjective, adjective_ru) = random.choice(NOUNS[category]), random.choice(ADJECTIVES)
    rated = random.random() < 0.7
    return product(
        id_,
        f"{adjective} {noun}",
        f"{adjective_ru} {noun_ru}",
        category,
        brand=random.choice(BRANDS),
        price=random.choice((0, 49, 50, 99, 100, 150, 199, 200, 999, 1000, 4999)),
        quantity=random.choice((0, 0, 1, 5)),
        rating_average=random.choice((1.0, 2.5, 3.999, 4.0, 4.3, 5.0)) if rated else 0.0,
        rating_count=random.choice((1, 2, 30)) if rated else 0,
        popularity=random.choice((0, 0, 1, 5, 900)),
        created_at=NEW_YEAR + timedelta(days=random.randrange(5)),
        description=random.choice(("", "goes with lemonade", "for the whole family")),
    )


FILTERS: dict[str, Callable[[ProductDocument, SearchRequest], bool]] = {
    "category": lambda one, asked: asked.category is None or asked.category in [category.id for category in one.category_path],
    "brand": lambda one, asked: asked.brand is None or one.brand == asked.brand,
    "price": lambda one, asked: (asked.price_min or 0) <= one.price <= (10**12 if asked.price_max is None else asked.price_max),
    "rating": lambda one, asked: asked.rating_min is None or one.rating_average >= asked.rating_min,
    "in_stock": lambda one, asked: asked.in_stock is None or one.in_stock == asked.in_stock,
    "text": lambda one, asked: all(word in all_text(one) for word in asked.text.split()),
}


def all_text(one: ProductDocument) -> str:
    categories = [text for category in one.category_path for text in (category.name, category.name_ru)]
    return " ".join((one.name, one.name_ru, one.description, one.brand, *categories)).lower()


def found(products: Sequence[ProductDocument], asked: SearchRequest, without: str = "") -> list[ProductDocument]:
    """What the search finds, leaving out one filter; query words must be whole words that no form of another looks like."""
    return [one for one in products if all(passes(one, asked) for name, passes in FILTERS.items() if name != without)]


def facet_counts(products: Sequence[ProductDocument], asked: SearchRequest) -> dict[str, dict[str, int]]:
    categories = Counter(category.id for one in found(products, asked, "category") for category in one.category_path)
    brands = Counter(one.brand for one in found(products, asked, "brand") if one.brand)
    ratings = Counter(star for one in found(products, asked, "rating") for star in "1234" if one.rating_average >= int(star))
    return {"category": dict(categories), "brand": dict(brands), "rating": dict(ratings)}


def in_order(products: Sequence[ProductDocument], sort: str) -> list[str]:
    """Ids by the sort order; ties in the order of arrival, backwards where the order is descending."""
    arrival = {one.id: at for at, one in enumerate(products)}
    keys: dict[str, Callable[[ProductDocument], object]] = {
        "price": lambda one: (one.price, arrival[one.id]),
        "-price": lambda one: (one.price, arrival[one.id]),
        "-rating": lambda one: (one.rating_average, one.rating_count, arrival[one.id]),
        "-created_at": lambda one: (one.created_at, arrival[one.id]),
        "-popularity": lambda one: (one.popularity, arrival[one.id]),
        "relevance": lambda one: (one.popularity, arrival[one.id]),
    }
    return [one.id for one in sorted(products, key=keys[sort], reverse=sort != "price")]  # type: ignore[arg-type]


PRODUCTS = assorted(300)


async def put(index: ProductIndex, *documents: ProductDocument) -> None:
    await index.put(documents)
    await index.flush()


async def ids(index: ProductIndex, text: str = "", **rest: object) -> list[str]:
    page = await index.search(SearchRequest(text=text, **rest))  # type: ignore[arg-type]
    return [card.id for card in page.items]
