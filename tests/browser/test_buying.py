"""The shop in a browser: from the front page to the doorstep, and to a review that everybody can read."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser

from tests.browser.window import Window, opened
from tests.shop import Shop, Visitor, fresh
from tests.shop.goods import PASSWORD, goods
from tests.shop.people import carry
from torg.acquirer.cards import TEST_CARDS, Behaviour

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_from_the_front_page_to_a_review_that_everybody_reads(shop: Shop, window: Window, chromium: Browser):
    page = window.page
    await window.go("/")
    product = next(product for product in goods() if "cheese" in product.name)
    await page.locator("#search").fill(product.name)
    await page.locator("#search").press("Enter")
    await page.get_by_role("link", name=product.name).first.click()
    await page.wait_for_url("**/products/*")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/cart")
    await window.click("Check out", role="link")
    await page.wait_for_url("**/sign-in*")
    await window.page.locator("main").get_by_role("link", name=re.compile("account|register", re.IGNORECASE)).first.click()
    email = f"{fresh()}@buyers.torg.example"
    await window.fill(full_name="Anna Petrova", email=email, password=PASSWORD, city="Moscow")
    await window.click("Create the account")
    await page.wait_for_url("**/checkout*")
    await _order(window, "card")
    await _pay(window, Behaviour.SUCCESS)
    await window.is_at("confirmed")
    buyer = await shop.sign_in(email)
    order_id = await _newest(buyer)
    assert page.url.startswith(f"{shop.address}/orders/{order_id}")
    await _delivered(shop, buyer, order_id, window)
    await window.go(f"/products/{product.id}")
    await page.locator("summary", has_text="review").first.click()
    await page.locator("[name=rating][value='4']").check()
    await window.fill(title="As it should be", text="Came cold, <b>tastes</b> well.")
    await window.click("Send")
    await window.shows("main .notice", "")
    await _approved(shop, chromium, "As it should be")
    await window.go(f"/products/{product.id}")
    await window.shows("article.review", "Came cold, <b>tastes</b> well.")
    await window.shows(".product-meta", "4")


async def test_an_order_is_watched_live_and_cancelled(shop: Shop, window: Window):
    buyer = await shop.buyer()
    await _signed_in(window, buyer.email)
    await window.go(f"/products/{shop.product()}")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/checkout")
    await _order(window, "balance")
    await window.is_at("confirmed")
    await window.page.locator("summary", has_text="ancel").first.click()
    await window.fill(reason="changed my mind")
    await window.click("Cancel the order")
    await window.is_at("cancelled")
    assert await buyer.balance() == 1_000_000


async def test_a_card_that_the_bank_refuses_ends_the_order_with_a_reason(shop: Shop, window: Window):
    buyer = await shop.buyer(0)
    await _signed_in(window, buyer.email)
    await window.go(f"/products/{shop.product()}")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/checkout")
    await _order(window, "card")
    await _pay(window, Behaviour.REFUSAL)
    await window.is_at("rejected")
    await window.shows(".order-reason", "refused")


async def test_everything_is_there_in_russian(shop: Shop, window: Window):
    product_id = shop.product()
    await window.go(f"/products/{product_id}")
    english = await window.page.locator("h1").inner_text()
    await window.click("Русский")
    await window.page.wait_for_function("document.documentElement.lang === 'ru'")
    assert window.page.url.endswith(product_id), "the same page"
    russian = await window.page.locator("h1").inner_text()
    assert russian != english
    for path in ("/", "/catalog", "/cart", "/sign-in", "/register"):
        await window.go(path)
        heading = await window.page.locator("h1").first.inner_text()
        assert re.search("[а-яё]", heading.lower()), (path, heading)
    await window.click("English")
    await window.page.wait_for_function("document.documentElement.lang === 'en'")


async def test_a_phone_shows_all_of_it_without_sticking_out(shop: Shop, phone: Window):
    buyer, product_id = await shop.buyer(), shop.product()
    order_id = await buyer.bought(product_id)
    await _signed_in(phone, buyer.email)
    await buyer.put_in_cart(product_id)
    paths = ("/", "/catalog", "/search?query=cheese", f"/products/{product_id}", "/cart", "/checkout", "/orders", f"/orders/{order_id}")
    for path in (*paths, "/notifications", "/profile", "/wallet"):
        await phone.go(path)
        assert await phone.fits(), f"{path} is wider than a phone"


async def test_it_works_without_scripts(shop: Shop, chromium: Browser):
    buyer, product_id = await shop.buyer(), shop.product()
    context = await chromium.new_context(java_script_enabled=False, locale="en-GB")
    window = Window(await context.new_page(), shop.address)
    await _signed_in(window, buyer.email)
    await window.go(f"/products/{product_id}")
    await window.click("Add to cart")
    await window.go("/checkout")
    await _order(window, "balance")
    order_id = await _newest(buyer)
    await buyer.sees(order_id, "confirmed")
    await window.go(f"/orders/{order_id}")
    await window.is_at("confirmed")
    await context.close()
    assert not window.went_wrong, "\n".join(window.went_wrong)


async def test_the_documentation_and_the_staff_pages_open_without_a_fault(shop: Shop, window: Window):
    for path in ("/docs", "/docs/events"):
        await window.go(path)
    await _signed_in(window, "admin@torg.example")
    await window.go("/admin/")
    links = await window.page.locator("nav a[href^='/admin/']").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(set(links)) >= 8
    for path in sorted(set(links)):
        await window.go(path)


# ---------------------------------------------------------------- what a visitor does


async def _signed_in(window: Window, email: str) -> None:
    await window.go("/sign-in")
    await window.fill(email=email, password=PASSWORD)
    await window.page.locator("main form button").first.click()
    await window.page.wait_for_url(lambda url: "/sign-in" not in url)


async def _order(window: Window, method: str) -> None:
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


async def _newest(buyer: Visitor) -> str:
    order_id: str = (await buyer.get("/orders")).json["items"][0]["id"]
    return order_id


async def _pay(window: Window, card: Behaviour) -> None:
    page = window.page
    await page.wait_for_url("**/acquirer/pay/*")
    for name, value in (("number", TEST_CARDS[card]), ("expiry", "12/30"), ("code", "123")):
        await page.locator(f"[name={name}]").fill(value)
    await page.locator("button[name=decision][value=pay]").click()
    await page.wait_for_url("**/orders/*")


async def _delivered(shop: Shop, buyer: Visitor, order_id: str, window: Window) -> None:
    """The courier tells of each stage; the open page follows."""
    courier = await shop.staff("courier")
    (delivery,) = (await buyer.get("/deliveries", order_id=order_id)).json["items"]
    await carry(courier, delivery["id"], "shipped")
    await window.is_at("shipped")
    await carry(courier, delivery["id"], "in_transit", "delivered")
    await window.is_at("delivered")


async def _approved(shop: Shop, chromium: Browser, title: str) -> None:
    """A moderator lets the review through, on the staff's page."""
    async with opened(chromium, shop.address, width=1280, height=900) as desk:
        await _signed_in(desk, "moderator@torg.example")
        await desk.go("/admin/reviews")
        await desk.page.locator("article.review", has_text=title).get_by_role("button", name="Approve").click()
        await desk.page.locator("article.review", has_text=title).wait_for(state="detached")
