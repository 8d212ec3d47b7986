"""The shop in a browser while parts of it fail: people see in a sentence what is missing, and go on buying."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.browser.visits import order, pay, signed_in
from tests.browser.window import Window
from tests.shop import Shop
from torg.acquirer.cards import Behaviour

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]
LACKING = ("/search", "/notifications", "/api/v1/notifications", "/api/v1/analytics", "/api/v1/products/suggest")
"""What cannot be answered without search, reviews, notifications and analytics; everything else has to be."""


@pytest.fixture
def crippled(shop: Shop) -> Iterator[Shop]:
    """Reviews and analytics have lost their disk, notifications hang, the search is away."""
    with ExitStack() as faults:
        for context in ("review", "analytics"):
            faults.enter_context(shop.broken_disk(context))
        faults.enter_context(shop.hanging("notification"))
        faults.enter_context(shop.search_away())
        yield shop


async def test_without_search_reviews_notifications_and_analytics_people_still_buy(crippled: Shop, window: Window):
    buyer, product_id = await crippled.buyer(), crippled.product()
    window.lacking = LACKING
    await signed_in(window, buyer.email)
    await window.go("/")
    await window.shows("[data-test=away]", "What everybody buys cannot be shown")
    await window.page.locator(".tile").first.click()
    await window.shows("[data-test=away]", "here is some of what there is")
    await window.shows("article.card", "")
    await window.page.locator("#search").fill("cheese")
    await window.page.locator("#search").press("Enter")
    await window.page.wait_for_url("**/search?query=cheese")
    await window.shows("[data-test=away]", "The search is taking a break")
    await window.shows(".tile", "")
    await window.go(f"/products/{product_id}")
    await window.shows("#reviews [data-test=away]", "Reviews cannot be shown just now.")
    await window.shows("[data-test=away]", "Not every suggestion can be shown")
    await window.click("Add to cart")
    await window.shows("[data-cart-count]", "1")
    await window.go("/checkout")
    await order(window, "card")
    await pay(window, Behaviour.SUCCESS)
    await window.is_at("confirmed")
    await window.go("/notifications")
    await window.shows("[data-test=away]", "Notifications cannot be shown just now.")


async def test_on_a_phone_and_in_russian_the_sentences_fit(crippled: Shop, phone: Window):
    phone.lacking = LACKING
    await phone.go("/")
    await phone.click("Русский")
    await phone.page.wait_for_function("document.documentElement.lang === 'ru'")
    said = {"/": "Что покупают чаще всего", "/search?query=cheese": "Поиск взял перерыв", f"/products/{crippled.product()}": "Отзывы сейчас не показать"}
    for path, sentence in said.items():
        await phone.go(path)
        await phone.shows("[data-test=away]", sentence)
        assert await phone.fits(), f"{path} is wider than a phone"
