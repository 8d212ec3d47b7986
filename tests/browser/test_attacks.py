"""What people type is text wherever it is shown: nothing of it runs, in anybody's browser, on any page or in any letter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote_plus

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.browser.payloads import PAYLOADS, POLYGLOT
from tests.browser.visits import signed_in
from tests.browser.window import Window, opened
from tests.shop import Buyer, Shop, open_shop, until
from tests.shop.people import deliver
from torg.kit.testing.http import Answer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
ALL = "\n".join(PAYLOADS)
EVIL = "evil.example"
PLACE = {"city": POLYGLOT, "street": POLYGLOT, "postcode": "125009", "country": "RU"}


@dataclass
class Poisoned:
    """A shop in which everything that people can type is an attack."""

    shop: Shop
    buyer: Buyer
    reviewed: str
    products: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def poisoned(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Poisoned]:
    async with open_shop(tmp_path_factory.mktemp("poisoned")) as shop:
        yield await _poison(shop)


async def _poison(shop: Shop) -> Poisoned:
    admin, buyer = await shop.staff("admin"), await shop.buyer()
    safe = shop.product()
    town = Poisoned(shop, buyer, safe)
    sample = (await shop.guest().get(f"/products/{safe}")).json
    for payload in PAYLOADS:
        facts = {
            "name": payload[:200], "name_ru": payload[:200], "description": payload, "description_ru": payload, "brand": payload[:200],
            "category": sample["category"]["id"] if isinstance(sample["category"], dict) else sample["category"], "price": sample["price"],
            "attributes": [{"name": payload[:200], "value": payload[:200]}], "drawing_label": payload[:64],
        }  # fmt: skip
        made = await admin.once("/products", facts)
        assert made.status in (201, 422), made
        town.products += [made.json["id"]] if made.status == 201 else []
    assert len(town.products) > 40
    _taken(await buyer.patch("/users/me", {"full_name": POLYGLOT[:100], "city": POLYGLOT[:100]}))
    _taken(await buyer.post("/users/me/addresses", PLACE))
    _taken(await buyer.once("/users/me/api-keys", {"name": POLYGLOT, "scopes": ["orders:read"]}))
    _taken(await admin.once("/suppliers", {"name": POLYGLOT}))
    _taken(await admin.once("/warehouses", {"name": POLYGLOT, "city": POLYGLOT, "lat": 55.7, "lon": 37.6}))
    _taken(await admin.once("/admin/networks", {"network": "203.0.113.7/32", "kind": "block", "reason": ALL[:500]}))
    _taken(await admin.once("/admin/clients", {"name": POLYGLOT, "redirect_uris": ["https://program.example/back"], "scopes": ["orders:read"]}))
    await _bought(town, safe)
    _taken(await admin.patch(f"/products/{safe}", {"name": POLYGLOT, "description": ALL, "brand": POLYGLOT}))
    return town


async def _bought(town: Poisoned, product_id: str) -> None:
    """Bought, delivered and reviewed under false words; another order called off with some."""
    shop, buyer, moderator = town.shop, town.buyer, await town.shop.staff("moderator")
    await buyer.put_in_cart(product_id)
    order_id = (await buyer.check_out(delivery={"method": "courier", "address": PLACE})).json["id"]
    await buyer.sees(order_id, "confirmed")
    await deliver(await shop.staff("courier"), buyer, order_id)
    await shop.settle()
    review = await buyer.post(f"/products/{product_id}/reviews", {"rating": 4, "title": POLYGLOT, "text": ALL})
    _taken(review)
    _taken(await moderator.once(f"/reviews/{review.json['id']}/moderation", {"decision": "approve"}))
    _taken(await (await shop.staff("admin")).once(f"/reviews/{review.json['id']}/reply", {"text": ALL}))
    other = shop.product()
    await buyer.put_in_cart(other)
    called_off = (await buyer.check_out()).json["id"]
    await buyer.sees(called_off, "confirmed")
    _taken(await buyer.once(f"/orders/{called_off}/cancel", {"reason": POLYGLOT}))
    await buyer.sees(called_off, "cancelled")
    await buyer.put_in_cart(shop.product())
    await shop.settle()
    town.orders += [order_id, called_off]


def _taken(answer: Answer) -> None:
    assert answer.status < 300, answer


class Trap:
    """Sees whether anything has run, or has asked for something elsewhere."""

    def __init__(self, window: Window) -> None:
        self.window, self.sprung = window, list[str]()

    async def set(self) -> None:
        page = self.window.page
        await page.expose_function("pwn", lambda *_: self.sprung.append(f"a script ran at {page.url}"))
        page.on("dialog", lambda dialog: self.sprung.append(f"a dialog at {page.url}: {dialog.message}"))
        page.on("request", lambda request: self.sprung.append(f"{page.url} asked for {request.url}") if EVIL in request.url.partition("?")[0] else None)

    async def see(self, *paths: str) -> None:
        for path in paths:
            await self.window.go(path)
            await self.window.page.evaluate("for (const field of document.querySelectorAll('main input, main summary, main a')) field.focus()")
        assert not self.sprung, "\n".join(self.sprung)


@pytest_asyncio.fixture(loop_scope="session")
async def trap(chromium: Browser, poisoned: Poisoned) -> AsyncIterator[Trap]:
    async with opened(chromium, poisoned.shop.address, width=1280, height=900) as window:
        trap = Trap(window)
        await trap.set()
        yield trap
        assert not trap.sprung, "\n".join(trap.sprung)


def _lists() -> Iterator[str]:
    yield from ("/", "/catalog", "/search?query=script", "/search?query=pwn")
    yield from (f"/search?query={quote_plus(payload)}" for payload in PAYLOADS[::4])


async def test_the_trap_springs_and_the_policy_holds(trap: Trap):
    await trap.window.go("/")
    await trap.window.page.evaluate("pwn()")
    assert trap.sprung
    trap.sprung.clear()
    await trap.window.page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"/favicon.ico\" onload=\"pwn()\">')")
    await until(lambda: any("Content Security Policy" in wrong or "violates" in wrong for wrong in trap.window.went_wrong))
    await trap.window.page.wait_for_timeout(300)
    assert not trap.sprung, "the policy lets inline code run"
    trap.window.went_wrong.clear()


async def test_products_of_false_words_are_shown_as_they_are(poisoned: Poisoned, trap: Trap):
    await trap.see(*_lists(), *(f"/products/{product_id}" for product_id in poisoned.products))
    await trap.window.go(f"/products/{poisoned.products[0]}")
    assert await trap.window.page.locator("h1").inner_text() == PAYLOADS[0]
    await trap.see(f"/products/{poisoned.reviewed}")
    await trap.window.shows("article.review", PAYLOADS[0])


async def test_suggestions_are_text(trap: Trap):
    await trap.window.go("/")
    await trap.window.page.locator("#search").press_sequentially("script", delay=20)
    await trap.window.page.wait_for_timeout(800)
    assert not trap.sprung


async def test_what_a_buyer_typed_is_text_on_their_own_pages_and_in_their_letters(poisoned: Poisoned, trap: Trap):
    await signed_in(trap.window, poisoned.buyer.email)
    orders = [f"/orders/{order_id}" for order_id in poisoned.orders]
    await trap.see("/cart", "/checkout", "/orders", *orders, "/profile", "/wallet", "/notifications", "/mailbox")
    letters = await trap.window.page.evaluate("[...document.querySelectorAll('a[href^=\"/mailbox/\"]')].map(link => link.getAttribute('href'))")
    assert len(letters) > 2
    await trap.see(*letters, "/docs", "/docs/events")


async def test_what_people_typed_is_text_on_the_staffs_pages(poisoned: Poisoned, trap: Trap):
    await signed_in(trap.window, "admin@torg.example")
    await trap.see("/admin")
    found = await trap.window.page.evaluate("[...document.querySelectorAll('nav a[href^=\"/admin\"]')].map(link => link.getAttribute('href'))")
    assert len(found) > 10
    orders = [f"/admin/orders/{order_id}" for order_id in poisoned.orders]
    searched = [f"{path}?q={quote_plus(POLYGLOT)}" for path in ("/admin/users", "/admin/stock")]
    await trap.see(*dict.fromkeys(found), *orders, *searched, f"/admin/users?q={quote_plus(poisoned.buyer.email)}")
