"""The shop as every run finds it: people with accounts and money, products with stock. Made once, by the shop itself, on a day without faults."""

from __future__ import annotations

from pathlib import Path
from random import Random

import msgspec

from torg.contexts.cart.contracts import CreatePromoCode
from torg.contexts.catalog.contracts import Category, DefineCategories, ImportProducts, NewProduct
from torg.contexts.inventory.contracts import CreateWarehouse, ReceiveStock, Units
from torg.contexts.user.contracts import EnsureUser
from torg.kit.auth import Role
from torg.kit.calls import Call
from torg.kit.values import Money
from torg.simulation.client import Browser
from torg.simulation.loop import SimulatedLoop
from torg.simulation.network import Network
from torg.simulation.people import PASSWORD, Account
from torg.simulation.plan import CODE, CODES, CURRENCY, FEW, PEOPLE, POCKET, POOR, PRODUCTS, SCARCE, SMALL_CHANGE, UNITS
from torg.simulation.processes import noted_files
from torg.simulation.site import START, Site

LIST = "accounts.json"
PREPARED = 600.0
"""Second at which runs begin: after all that was done here."""


def products() -> list[str]:
    """Ids by number."""
    return [f"p{number:03}" for number in range(PRODUCTS)]


def accounts(folder: Path) -> list[Account]:
    """Of the people; then the clerk's, and the administrator's."""
    return msgspec.json.decode((folder / LIST).read_bytes(), type=list[Account])


def prepare(folder: Path) -> None:
    """Fills an empty folder."""
    loop = SimulatedLoop(Random("template"))
    loop.network = Network(loop, Random("template/network"))
    site = Site(loop, "template", folder, "all")
    try:
        with noted_files():
            made = loop.run_until_complete(_fill(site))
    finally:
        for machine in site.everybody:
            if machine.process:
                machine.process.kill()
        loop.throw_away()
    (folder / LIST).write_bytes(msgspec.json.encode(made))


async def _fill(site: Site) -> list[Account]:
    await site.open()
    app = site.machines["shop"].app
    assert app is not None, "it was opened"
    await _goods(app.call)
    made = [await _account(site, app.call, f"person{number}", None, SMALL_CHANGE if number < POOR else POCKET) for number in range(PEOPLE)]
    made += [await _account(site, app.call, name, role, 0) for name, role in (("clerk", Role.ADMIN), ("admin", Role.ADMIN))]
    await app.settle()
    for module in app.modules:
        await module.close()
    return made


async def _goods(call: Call) -> None:
    await call(DefineCategories((Category(id="things", name="Things", name_ru="Вещи", parent="", slug="things"),)))
    await call(ImportProducts(products=tuple(
        NewProduct(
            id=id, name=f"Thing {id}", name_ru=f"Вещь {id}", description="A thing", description_ru="Вещь", category="things", brand="Torg",
            price=Money(1500 + 100 * number, CURRENCY), weight_grams=200, drawing="box", drawing_label="", popularity=number, created_at=START,
        )
        for number, id in enumerate(products())
    )))  # fmt: skip
    house = await call(CreateWarehouse(name="Moscow store", city="Moscow"))
    lines = tuple(Units(id, FEW if number < SCARCE else UNITS) for number, id in enumerate(products()))
    await call(ReceiveStock(warehouse_id=house.id, lines=lines, reason="opening stock", receipt_id="opening"))
    await call(CreatePromoCode(code=CODE, kind="percent", percent=20, uses_total=CODES))


async def _account(site: Site, call: Call, name: str, role: Role | None, pocket: int) -> Account:
    email, browser = f"{name}@torg.example", Browser(site.front, [])
    await call(EnsureUser(email=email, password=PASSWORD, full_name=name.title(), city="Moscow", roles=(role,) if role else ()))
    session = await browser.insist("POST", "/sessions", {"email": email, "password": PASSWORD})
    browser.token = session.json["access_token"]
    me = await browser.insist("GET", "/users/me")
    if pocket:
        await browser.insist("POST", "/wallet/top-ups", {"amount": {"amount": pocket, "currency": CURRENCY}}, "pocket")
    return Account(email, me.json["id"], browser.token)
