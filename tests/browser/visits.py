"""What a visitor does in a window: signs in, orders, pays; and what the staff do meanwhile."""

from __future__ import annotations

import re

from playwright.async_api import Browser

from tests.browser.window import Window, opened
from tests.shop import Shop, Visitor
from tests.shop.goods import PASSWORD
from tests.shop.people import carry
from torg.acquirer.cards import TEST_CARDS, Behaviour


async def signed_in(window: Window, email: str) -> None:
    await window.go("/sign-in")
    await window.fill(email=email, password=PASSWORD)
    await window.page.locator("main form button").first.click()
    await window.page.wait_for_url(lambda url: "/sign-in" not in url)


async def order(window: Window, method: str) -> None:
    """Fills in the checkout and places the order."""
    page = window.page
    if not await page.locator("#way-courier").count():
        await window.fill(city="Moscow")
        await page.locator("button[name=step][value=quote]:visible").click()
    await page.locator("#way-courier").check()
    await window.fill(street="Tverskaya 1", postcode="125009")
    await page.locator(f"#pay-{method}").check()
    await page.locator("button[name=step][value=order]").click()
    await page.wait_for_url(re.compile("/orders/[0-9a-f-]{36}|/acquirer/pay/"))


async def newest(buyer: Visitor) -> str:
    order_id: str = (await buyer.get("/orders")).json["items"][0]["id"]
    return order_id


async def pay(window: Window, card: Behaviour) -> None:
    page = window.page
    await page.wait_for_url("**/acquirer/pay/*")
    for name, value in (("number", TEST_CARDS[card]), ("expiry", "12/30"), ("code", "123")):
        await page.locator(f"[name={name}]").fill(value)
    await page.locator("button[name=decision][value=pay]").click()
    await page.wait_for_url("**/orders/*")


async def delivered(shop: Shop, buyer: Visitor, order_id: str, window: Window) -> None:
    """The courier tells of each stage; the open page follows."""
    courier = await shop.staff("courier")
    (delivery,) = (await buyer.get("/deliveries", order_id=order_id)).json["items"]
    await carry(courier, delivery["id"], "shipped")
    await window.is_at("shipped")
    await carry(courier, delivery["id"], "in_transit", "delivered")
    await window.is_at("delivered")


async def approved(shop: Shop, chromium: Browser, title: str) -> None:
    """A moderator lets the review through, on the staff's page."""
    async with opened(chromium, shop.address, width=1280, height=900) as desk:
        await signed_in(desk, "moderator@torg.example")
        await desk.go("/admin/reviews")
        await desk.page.locator("article.review", has_text=title).get_by_role("button", name="Approve").click()
        await desk.page.locator("article.review", has_text=title).wait_for(state="detached")
