"""Fills an empty shop with the demonstration: categories, products, stock, accounts, promo codes. Speaks to the contexts by their messages alone.

Each part is filed as done when it is; a start that was cut short goes on with the first part that isn't, and every part may be done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from zlib import crc32

import msgspec

from torg.contexts.cart.contracts import CreatePromoCode
from torg.contexts.catalog.contracts import Attribute, Category, DefineCategories, ImportProducts, NewProduct, RebuildIndex
from torg.contexts.inventory.contracts import CreateWarehouse, ListWarehouses, ReceiveStock, Units
from torg.contexts.payment.contracts import CreditWallet
from torg.contexts.user.contracts import EnsureUser
from torg.demo.catalogue import DemoCategory, DemoProduct, categories, products
from torg.demo.progress import Steps
from torg.kit import values
from torg.kit.auth import Role
from torg.kit.calls import Call
from torg.kit.errors import DomainError
from torg.kit.portions import portions
from torg.kit.secrets import kept_secret
from torg.kit.settings import Settings
from torg.kit.values import Language, Money

BATCH = 1000
PARTS = ("categories", "products", "stock", "promo codes", "search index")
WAREHOUSES = (("Moscow main", "Moscow"), ("Saint Petersburg", "Saint Petersburg"), ("Ural", "Yekaterinburg"), ("Siberia", "Novosibirsk"))
POCKET = 100_000_00  # the demonstration buyer's wallet, in minor units: a hundred orders and more
ATTRIBUTES = {
    "brand": ("Brand", "Бренд"),
    "variety": ("Variety", "Вид"),
    "size": ("Size", "Размер"),
    "unit_price": ("Unit price", "Цена за единицу"),
    "age": ("Age", "Возраст"),
    "item_number": ("Item number", "Артикул"),
}
STAFF = {
    "admin": (Role.ADMIN, "Alexandra Admin"),
    "support": (Role.SUPPORT, "Sofia Support"),
    "warehouse": (Role.WAREHOUSE, "Vadim Warehouse"),
    "courier": (Role.COURIER, "Kirill Courier"),
    "moderator": (Role.MODERATOR, "Marina Moderator"),
    "analyst": (Role.ANALYST, "Anton Analyst"),
}


async def seed(call: Call, settings: Settings, settle: Callable[[], Awaitable[None]]) -> None:
    """Does what is missing, with a line or bar of progress for each part. `settle` waits until every consumer has caught up."""
    done = _Done(Path(settings.data) / "demonstration.json")
    with Steps("Filling the shop with its demonstration") as steps:
        parts: Sequence[Callable[[], Awaitable[None]]] = (
            lambda: _categories(call),
            lambda: _products(call, settings, steps),
            lambda: _stock(call, settings, steps),
            lambda: _promo_codes(call, settings),
            lambda: _index(call, settle),
        )
        for name, part in zip(PARTS, parts, strict=True):
            if not done.has(name):
                steps.begin(name)
                await part()
                done.add(name)
        if not done.has(_accounts_of(settings)):
            steps.begin("accounts")
            await _accounts(call, settings, demo_password(settings))
            done.add(_accounts_of(settings))


def is_complete(settings: Settings) -> bool:
    """Whether nothing of the demonstration is missing."""
    done = _Done(Path(settings.data) / "demonstration.json")
    return all(done.has(name) for name in (*PARTS, _accounts_of(settings)))


def _accounts_of(settings: Settings) -> str:
    return f"accounts {crc32(demo_password(settings).encode())}"


def demo_password(settings: Settings) -> str:
    """The demonstration accounts' one password: TORG_DEMO_PASSWORD, else made once and kept in the data folder for its owner to read."""
    if settings.demo_password:
        return settings.demo_password
    return kept_secret(Path(settings.data) / "demo-password", values.randomness, 9)


def welcome(settings: Settings, address: str) -> Iterator[str]:
    """What a person wants to know once the shop is open."""
    yield ""
    yield f"  Shop            {address}/"
    yield f"  Staff pages     {address}/admin/"
    yield f"  API             {address}/docs    (events: {address}/docs/events)"
    if not settings.smtp:
        yield f"  Mailbox         {address}/mailbox"
    if settings.demo:
        yield ""
        yield f"  Accounts        buyer@torg.example, {', '.join(f'{name}@torg.example' for name in STAFF)}"
        where = "TORG_DEMO_PASSWORD" if settings.demo_password else str(Path(settings.data) / "demo-password")
        yield f"  Password        {demo_password(settings)}    (from {where})"
    yield ""
    yield "  Ctrl-C closes the shop."


class _Done:
    """Which parts are there already, in a file of the data folder."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._names: list[str] = msgspec.json.decode(file.read_bytes(), type=list[str]) if file.exists() else []

    def has(self, name: str) -> bool:
        return name in self._names

    def add(self, name: str) -> None:
        self._names.append(name)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._names))
        fresh.replace(self._file)


async def _categories(call: Call) -> None:
    await call(DefineCategories(tuple(_flat(categories(), ""))))


def _flat(nodes: Iterable[DemoCategory], parent: str) -> Iterator[Category]:
    for node in nodes:
        yield Category(id=node.id, name=node.name, name_ru=node.name_ru, parent=parent)
        yield from _flat(node.children, node.id)


def _shown(settings: Settings) -> Iterator[DemoProduct]:
    return islice(products(), settings.demo_products or None)


async def _products(call: Call, settings: Settings, steps: Steps) -> None:
    listed = list(_shown(settings))
    steps.of(len(listed))
    for batch in portions(listed, BATCH):
        await call(ImportProducts(products=tuple(_new_product(product, settings.currency) for product in batch)))
        steps.advance(len(batch))


def _new_product(product: DemoProduct, currency: str) -> NewProduct:
    return NewProduct(
        id=product.id, name=product.name, name_ru=product.name_ru, description=product.description, description_ru=product.description_ru,
        category=product.category_id, brand=product.brand, price=Money(product.price_cents, currency),
        old_price=Money(product.old_price_cents, currency) if product.old_price_cents else None,
        attributes=tuple(_attributes(product)),
        drawing=product.picture, drawing_label=product.label, weight_grams=product.weight_grams, popularity=product.popularity,
        created_at=product.created_at,
    )  # fmt: skip


def _attributes(product: DemoProduct) -> Iterator[Attribute]:
    """What a shopper compares, in both languages; the metric size stands behind the till's own."""
    given = {**product.attributes, "brand": product.brand}
    if "size" in given and "size_metric" in given:
        given["size"] = f"{given['size']} ({given['size_metric']})"
    for key, (name, name_ru) in ATTRIBUTES.items():
        if given.get(key):
            yield Attribute(name=name, name_ru=name_ru, value=given[key])


async def _stock(call: Call, settings: Settings, steps: Steps) -> None:
    open_already = {house.name: house.id for house in (await call(ListWarehouses())).items}
    houses = [open_already.get(name) or (await call(CreateWarehouse(name=name, city=city))).id for name, city in WAREHOUSES]
    listed = [product.id for product in _shown(settings)]
    steps.of(len(listed) * len(houses))
    for number, house in enumerate(houses):
        for start, batch in enumerate(portions(listed, 5 * BATCH)):
            lines = tuple(Units(id, quantity) for id in batch if (quantity := _shelf(id, number)))
            await call(ReceiveStock(warehouse_id=house, lines=lines, reason="opening stock", receipt_id=f"demonstration/{number}/{start}"))
            steps.advance(len(batch))


def _shelf(product_id: str, house: int) -> int:
    """How much of a product a warehouse starts with: plenty in the first, some in every other one or two of the rest, always the same."""
    draw = crc32(f"{product_id}/{house}".encode())
    if house == 0:
        return 120 + draw % 280
    return 20 + draw % 80 if draw % 3 == 0 else 0


async def _index(call: Call, settle: Callable[[], Awaitable[None]]) -> None:
    """Built once more when all is in, so that the first visitor finds everything."""
    await settle()
    await call(RebuildIndex())


async def _promo_codes(call: Call, settings: Settings) -> None:
    codes = (
        CreatePromoCode(code="WELCOME10", kind="percent", percent=10, uses_per_person=1),
        CreatePromoCode(code="MINUS5", kind="amount", amount=Money(500, settings.currency), minimum_total=Money(3000, settings.currency)),
        CreatePromoCode(code="FREESHIP", kind="free_delivery", minimum_total=Money(2000, settings.currency)),
    )
    for code in codes:
        try:
            await call(code)
        except DomainError as refusal:
            if refusal.code != "promo.code_taken":
                raise


async def _accounts(call: Call, settings: Settings, password: str) -> None:
    language = Language(settings.language)
    buyer = await call(EnsureUser(email="buyer@torg.example", password=password, full_name="Boris Buyer", city="Moscow", language=language))
    await call(CreditWallet(user_id=buyer.id, amount=Money(POCKET, settings.currency), reference="demonstration"))
    for name, (role, full_name) in STAFF.items():
        await call(EnsureUser(email=f"{name}@torg.example", password=password, full_name=full_name, city="Moscow", roles=(role,)))
