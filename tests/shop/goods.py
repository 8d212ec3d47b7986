"""What the small shop sells: every hundredth product of the demonstration, so that names, words and categories are real ones."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import cache

from torg.contexts.cart.contracts import CreatePromoCode
from torg.contexts.catalog.contracts import Category, DefineCategories, ImportProducts, NewProduct, RebuildIndex
from torg.contexts.inventory.contracts import CreateWarehouse, ReceiveStock, Units
from torg.contexts.user.contracts import EnsureUser
from torg.demo.catalogue import DemoCategory, DemoProduct, categories, products
from torg.kit.auth import Role
from torg.kit.calls import Call
from torg.kit.values import Money

PASSWORD = "Kettle-Harbour-42"
CURRENCY = "USD"
SHELF = {"Moscow": 60, "Yekaterinburg": 40}  # units of each product, by the warehouse's city
STAFF = {
    "admin": Role.ADMIN,
    "support": Role.SUPPORT,
    "warehouse": Role.WAREHOUSE,
    "courier": Role.COURIER,
    "moderator": Role.MODERATOR,
    "analyst": Role.ANALYST,
}


@cache
def _demonstration() -> tuple[tuple[DemoProduct, ...], tuple[DemoCategory, ...]]:
    listed = tuple(products())
    return listed[::100], categories(listed)


def goods() -> tuple[DemoProduct, ...]:
    return _demonstration()[0]


def tree() -> tuple[DemoCategory, ...]:
    return _demonstration()[1]


async def fill(call: Call, settle: Callable[[], Awaitable[None]]) -> None:
    """Categories, products, stock, staff and promo codes, by the contexts' own messages; then an index of it all, without the wait for whether more comes."""
    await call(DefineCategories(tuple(_flat(tree(), ""))))
    await call(ImportProducts(products=tuple(_listed(product) for product in goods())))
    for city, quantity in SHELF.items():
        house = await call(CreateWarehouse(name=f"{city} store", city=city))
        units = tuple(Units(product.id, quantity) for product in goods())
        await call(ReceiveStock(warehouse_id=house.id, lines=units, reason="opening stock", receipt_id=f"opening/{city}"))
    for name, role in STAFF.items():
        await call(EnsureUser(email=f"{name}@torg.example", password=PASSWORD, full_name=f"Someone {name}", city="Moscow", roles=(role,)))
    await call(CreatePromoCode(code="TENTH", kind="percent", percent=10))
    await settle()
    await call(RebuildIndex())


def _flat(nodes: Iterable[DemoCategory], parent: str) -> Iterator[Category]:
    for node in nodes:
        yield Category(id=node.id, name=node.name, name_ru=node.name_ru, parent=parent, slug=node.id)
        yield from _flat(node.children, node.id)


def _listed(product: DemoProduct) -> NewProduct:
    return NewProduct(
        id=product.id, name=product.name, name_ru=product.name_ru, description=product.description, description_ru=product.description_ru,
        category=product.category_id, brand=product.brand, price=Money(product.price_cents, CURRENCY), weight_grams=product.weight_grams,
        drawing=product.picture, drawing_label=product.label, popularity=product.popularity, created_at=product.created_at,
    )  # fmt: skip
