"""The shop in a browser: from the front page to the doorstep, and to a review that everybody can read."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser

from tests.browser.visits import approved, delivered, newest, order, pay, signed_in
from tests.browser.window import Window
from tests.shop import Shop, fresh
from tests.shop.goods import PASSWORD, goods
from torg.acquirer.cards import Behaviour

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
    await order(window, "card")
    await pay(window, Behaviour.SUCCESS)
    await window.is_at("confirmed")
    buyer = await shop.sign_in(email)
    order_id = await newest(buyer)
    assert page.url.startswith(f"{shop.address}/orders/{order_id}")
    await delivered(shop, buyer, order_id, window)
    await window.go(f"/products/{product.id}")
    await page.locator("summary", has_text="review").first.click()
    await page.locator("[name=rating][value='4']").check()
    await window.fill(title="As it should be", text="Came cold, <b>tastes</b> well.")
    await window.click("Send")
    await window.shows("main .notice", "")
    await approved(shop, chromium, "As it should be")
    await window.go(f"/products/{product.id}")
    await window.shows("article.review", "Came cold, <b>tastes</b> well.")
    await window.shows(".product-meta", "4")


async def test_an_order_is_watched_live_and_cancelled(shop: Shop, window: Window):
    buyer = await shop.buyer()
    await signed_in(window, buyer.email)
    await window.go(f"/products/{shop.product()}")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/checkout")
    await order(window, "balance")
    await window.is_at("confirmed")
    await window.page.locator("summary", has_text="ancel").first.click()
    await window.fill(reason="changed my mind")
    await window.click("Cancel the order")
    await window.is_at("cancelled")
    assert await buyer.balance() == 1_000_000


async def test_a_card_that_the_bank_refuses_ends_the_order_with_a_reason(shop: Shop, window: Window):
    buyer = await shop.buyer(0)
    await signed_in(window, buyer.email)
    await window.go(f"/products/{shop.product()}")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/checkout")
    await order(window, "card")
    await pay(window, Behaviour.REFUSAL)
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
    await signed_in(phone, buyer.email)
    await buyer.put_in_cart(product_id)
    paths = ("/", "/catalog", "/search?query=cheese", f"/products/{product_id}", "/cart", "/checkout", "/orders", f"/orders/{order_id}")
    for path in (*paths, "/notifications", "/profile", "/wallet"):
        await phone.go(path)
        assert await phone.fits(), f"{path} is wider than a phone"


async def test_it_works_without_scripts(shop: Shop, chromium: Browser):
    buyer, product_id = await shop.buyer(), shop.product()
    context = await chromium.new_context(java_script_enabled=False, locale="en-GB")
    window = Window(await context.new_page(), shop.address)
    await signed_in(window, buyer.email)
    await window.go(f"/products/{product_id}")
    await window.click("Add to cart")
    await window.go("/checkout")
    await order(window, "balance")
    order_id = await newest(buyer)
    await buyer.sees(order_id, "confirmed")
    await window.go(f"/orders/{order_id}")
    await window.is_at("confirmed")
    await context.close()
    assert not window.went_wrong, "\n".join(window.went_wrong)


async def test_the_documentation_and_the_staff_pages_open_without_a_fault(shop: Shop, window: Window):
    for path in ("/docs", "/docs/events"):
        await window.go(path)
    await signed_in(window, "admin@torg.example")
    await window.go("/admin/")
    links = await window.page.locator("nav a[href^='/admin/']").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(set(links)) >= 8
    for path in sorted(set(links)):
        await window.go(path)
