"""What the auditor tells, in a browser: what is wrong, since when, what mends it; and mending it from there."""

from __future__ import annotations

import asyncio

import pytest

from tests.browser.visits import signed_in
from tests.browser.window import Window
from tests.shop import Shop
from tests.shop.cards import page_of, pay
from torg.acquirer.cards import Behaviour

LOOK = 60  # seconds that a look may take: what disagrees is looked at again and again before it is told
pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def break_wallet(shop: Shop) -> str:
    """A balance that is seven more than its entries; whose."""
    account = f"wallet:{(await shop.buyer(balance=5_000)).user_id}"
    async with (await shop.store("payment")).transaction() as tx:
        await tx.execute("update balance set amount = amount + 7 where account = :account", account=account)
    return account


async def charge_twice(shop: Shop) -> str:
    """An order with two captured charges in the acquirer's books; the other one's id. The sandbox keeps one for a reference: its table is made another."""
    buyer = await shop.buyer()
    order_id = await buyer.order(shop.product(), method="card")
    await pay(await page_of(buyer, order_id), Behaviour.SUCCESS)
    await buyer.sees(order_id, "confirmed")
    named = {"id": (await buyer.payment(order_id))["id"]}
    assert shop.app.acquirer is not None
    async with shop.app.acquirer.store.transaction() as tx:
        for statement in (
            "create table loose as select * from charge",
            "insert into loose select * from charge where reference = :id",
            "update loose set id = 'charged-again' where rowid = (select max(rowid) from loose)",
            "drop table charge",
            "alter table loose rename to charge",
        ):
            await tx.execute(statement, **(named if ":id" in statement else {}))
    return "charged-again"


async def looked_until(window: Window, sentence: str) -> None:
    """Has everything looked at anew, as often as it takes: each look sees some of the old rows, and what disagrees is looked at again before it is told."""
    async with asyncio.timeout(LOOK):
        while sentence not in await window.page.locator("main").inner_text():
            await asyncio.sleep(0.5)
            await window.go("/admin/invariants?anew=1")


async def test_operators_see_what_is_broken_and_mend_it_from_there(shop: Shop, window: Window) -> None:
    await signed_in(window, "admin@torg.example")
    window.page.set_default_timeout(LOOK * 1000)
    await window.go("/admin/invariants?anew=1")
    await looked_until(window, "Everything holds.")
    account, charge = await break_wallet(shop), await charge_twice(shop)
    await window.click("Check anew", "link")
    await looked_until(window, "2 do not hold.")
    await window.shows(".violation", f"{account} holds 5007")
    await window.shows(".violation .command", "torg rebuild balances")
    await window.shows(".violation", "Not before")
    await window.click("Go there", "link")
    await window.page.wait_for_url(f"**/admin/charges/{charge}")
    await window.shows("main", "The charge that counts")
    window.page.once("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await window.page.locator("input[name=reason]").fill("the acquirer took it twice")
    await window.click("Give it back")
    await window.shows("main", "It was given back.")
    await window.go("/admin/audit")
    await window.shows("main", "/admin/charges/{charge_id}/refund")
    assert (await (await shop.staff("admin")).post("/payments/rebuild", {"reason": "a statement by hand"})).status == 200
    await window.go("/admin/invariants?anew=1")
    await looked_until(window, "Everything holds.")


async def test_on_a_phone_and_in_russian_the_pages_own_words_are_russian_and_fit(shop: Shop, phone: Window) -> None:
    await break_wallet(shop)
    await signed_in(phone, "admin@torg.example")
    phone.page.set_default_timeout(LOOK * 1000)
    await phone.go("/admin/invariants?anew=1")
    await phone.click("Русский")
    await phone.page.wait_for_function("document.documentElement.lang === 'ru'")
    await phone.go("/admin/invariants?anew=1")
    await looked_until(phone, "Не раньше")
    for sentence in ("Каждая проводка в сумме даёт ноль", "Что делать", "Не раньше", "приведите проводки, балансы и платежи к журналу"):
        await phone.shows(".broken", sentence)
    assert await phone.fits(), "it is wider than a phone"
    assert (await (await shop.staff("admin")).post("/payments/rebuild", {})).status == 200
    await phone.go("/admin/invariants?anew=1")
    await looked_until(phone, "Всё верно.")
