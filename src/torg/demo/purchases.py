"""A year of purchases, the households that made them, and the promotions they saw."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from types import MappingProxyType
from zlib import crc32

import msgspec

from torg.demo.source import SoldLine, sold_lines, source_products, source_rows


class City(msgspec.Struct, frozen=True):
    """Coordinates are degrees north and east."""

    name: str
    name_ru: str
    country: str
    latitude: float
    longitude: float


class PurchaseLine(msgspec.Struct, frozen=True, gc=False):
    """`price_cents` is US cents for one unit, as paid."""

    product_id: str
    quantity: int
    price_cents: int


class Purchase(msgspec.Struct, frozen=True, gc=False):
    household_id: str
    basket_id: str
    store_id: str
    at: datetime
    lines: tuple[PurchaseLine, ...]


class Household(msgspec.Struct, frozen=True, gc=False):
    """Names and addresses are invented; `age` and `income` are the source's bands (`35-44`, `50-74K`), None where it has none."""

    id: str
    full_name: str
    email: str
    city: str
    birth_date: date
    baskets: int
    age: str | None
    income: str | None


class Promotion(msgspec.Struct, frozen=True):
    """`kind` is percent, amount (US cents) or free_delivery; `products` are those the campaign's coupons covered; `ends` is exclusive."""

    code: str
    name: str
    name_ru: str
    kind: str
    value: int
    starts: datetime
    ends: datetime
    products: frozenset[str]


CITIES = (
    City("Moscow", "Москва", "RU", 55.7558, 37.6173),
    City("Saint Petersburg", "Санкт-Петербург", "RU", 59.9343, 30.3351),
    City("Novosibirsk", "Новосибирск", "RU", 55.0084, 82.9357),
    City("Yekaterinburg", "Екатеринбург", "RU", 56.8389, 60.6057),
    City("Kazan", "Казань", "RU", 55.7963, 49.1088),
    City("Nizhny Novgorod", "Нижний Новгород", "RU", 56.2965, 43.9361),
    City("Krasnodar", "Краснодар", "RU", 45.0355, 38.9753),
    City("Vladivostok", "Владивосток", "RU", 43.1155, 131.8855),
    City("Almaty", "Алматы", "KZ", 43.2220, 76.8512),
    City("Belgrade", "Белград", "RS", 44.7866, 20.4489),
    City("Copenhagen", "Копенгаген", "DK", 55.6761, 12.5683),
    City("Singapore", "Сингапур", "SG", 1.3521, 103.8198),
)
_FIRST_NAMES = (
    "Anna Ivan Maria Alexei Elena Dmitry Olga Sergei Natalia Pavel Irina Mikhail Tatiana Andrei Ksenia Nikolai Vera Roman "
    "Daria Maxim Sofia Artem Polina Kirill Emma Liam Nora Oscar Freja Lars Mei Arun Aigul Timur Jovana Marko"
).split()
_LAST_NAMES = (
    "Sorokin Belov Orlov Zaitsev Volkov Medvedev Vinogradov Gusev Lebedev Kozlov Baranov Filin Komarov Zhuravlev Krylov "
    "Tikhon Osipenko Kovalenko Bondar Melnik Larsen Jensen Holm Berg Lind Tan Lim Petrovic Jovic Ilic Akhmet Serik Omar Novak "
    "Weber Clark"
).split()
_AGES = MappingProxyType({"19-24": (1993, 5), "25-34": (1983, 10), "35-44": (1973, 10), "45-54": (1963, 10), "55-64": (1953, 10), "65+": (1937, 15)})
_CAMPAIGNS = (
    ("8", "SPRING15", "Spring coupons: 15% off", "Весенние купоны: скидка 15 %", "percent", 15),
    ("13", "SUMMER10", "Late summer: 10% off", "Конец лета: скидка 10 %", "percent", 10),
    ("18", "HOLIDAY500", "Holiday table: 5.00 off", "Праздничный стол: скидка 5,00", "amount", 500),
    ("14", "AUTUMNSHIP", "Autumn: free delivery", "Осень: бесплатная доставка", "free_delivery", 0),
    ("27", "FEBRUARY20", "February sale: 20% off", "Февральская распродажа: скидка 20 %", "percent", 20),
    ("20", "WINTER300", "Winter: 3.00 off", "Зима: скидка 3,00", "amount", 300),
)


def purchases(days: int | None = None) -> Iterator[Purchase]:
    """The year's baskets in time order, without odd lines; `days` keeps those of the first so many days."""
    lines = sorted((line for line in sold_lines() if not line.odd), key=lambda line: (line.at, line.basket_id))
    end = _moment(lines[0].at) + timedelta(days=days) if days is not None else datetime.max.replace(tzinfo=UTC)
    for _, basket in groupby(lines, key=lambda line: (line.at, line.basket_id)):
        purchase = _purchase(list(basket))
        if purchase.at >= end:
            return
        yield purchase


def households() -> Iterator[Household]:
    """Everyone who bought something, in the order of their numbers."""
    baskets = Counter(household for household, _ in {(line.household_id, line.basket_id) for line in sold_lines() if not line.odd})
    told = {row[0]: (row[1], row[2]) for row in source_rows("demographics")}
    for household in sorted(baskets, key=int):
        yield _household(household, baskets[household], *told.get(household, ("", "")))


def promotions() -> tuple[Promotion, ...]:
    """Promo codes made of the retailer's largest campaigns, with their real dates and the products their coupons covered."""
    dates = {campaign: (starts, ends) for campaign, _, starts, ends in source_rows("campaign_descriptions")}
    listed = {product.product_id for product in source_products()}
    covered: dict[str, set[str]] = {campaign[0]: set() for campaign in _CAMPAIGNS}
    for _, product, campaign in source_rows("coupons"):
        if campaign in covered and product in listed:
            covered[campaign].add(product)
    return tuple(_promotion(campaign, dates[campaign[0]], frozenset(covered[campaign[0]])) for campaign in _CAMPAIGNS)


def _purchase(basket: list[SoldLine]) -> Purchase:
    lines = tuple(PurchaseLine(line.product_id, line.quantity, max(0, round(line.sales_value * 100 / line.quantity))) for line in basket)
    first = basket[0]
    return Purchase(first.household_id, first.basket_id, first.store_id, _moment(first.at), lines)


def _household(number: str, baskets: int, age: str, income: str) -> Household:
    seed = crc32(f"household {number}".encode())
    year, span = _AGES.get(age, (1950, 45))
    name = f"{_FIRST_NAMES[seed % len(_FIRST_NAMES)]} {_LAST_NAMES[seed // 64 % len(_LAST_NAMES)]}"
    born = date(year, 1, 1) + timedelta(days=seed // 4096 % (span * 365))
    # the first cities are the largest: of two draws the lower wins
    city = CITIES[min(seed // 7 % len(CITIES), seed // 97 % len(CITIES))]
    return Household(number, name, f"household-{number}@buyers.torg.example", city.name, born, baskets, age or None, income or None)


def _promotion(campaign: tuple[str, str, str, str, str, int], dates: tuple[str, str], products: frozenset[str]) -> Promotion:
    _, code, name, name_ru, kind, value = campaign
    starts, ends = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in dates)
    return Promotion(code, name, name_ru, kind, value, starts, ends + timedelta(days=1), products)


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
