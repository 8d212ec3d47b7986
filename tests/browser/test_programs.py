"""Letting a program in, in a browser: its policy lets the form lead there, and nowhere else."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from aiohttp import web

from tests.browser.visits import signed_in
from tests.browser.window import Window
from tests.shop import Shop
from tests.shop.goods import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).rstrip(b"=").decode()


async def test_a_key_is_made_shown_once_and_replaced_on_a_phone(phone: Window, shop: Shop) -> None:
    buyer, page = await shop.buyer(0), phone.page
    await signed_in(phone, buyer.email)
    await phone.go("/profile")
    await phone.click("Programs and keys", role="link")
    await page.locator("#keys summary").click()
    await phone.fill(name="Stock sheet")
    await page.get_by_label("see your orders").check()
    await page.locator("#keys form:has([name=days]) button").click()
    shown = page.locator("#made code")
    first = await shown.text_content()
    assert await phone.fits()
    await phone.click("Replace")
    await phone.shows("#made", "a day more")
    second = await shown.text_content()
    assert await phone.fits()
    assert first != second
    await phone.go("/profile/programs")
    assert await shown.count() == 0
    await phone.shows("#keys li", "free tier")


async def test_signing_in_and_agreeing_lead_back_to_the_program(window: Window, shop: Shop) -> None:
    async def back(request: web.Request) -> web.Response:
        return web.Response(text=f"back with {sorted(request.query)}")

    app = web.Application()
    app.router.add_get("/back", back)
    app.router.add_get("/favicon.ico", back)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    uri = f"http://127.0.0.1:{runner.addresses[0][1]}/back"
    try:
        client = {"name": "Ledger", "redirect_uris": [uri], "scopes": ["openid", "orders:read"]}
        made = (await (await shop.staff("admin")).post("/admin/clients", client)).json
        asked = {
            "client_id": made["id"], "redirect_uri": uri, "response_type": "code", "scope": "openid orders:read", "state": "s",
            "code_challenge": CHALLENGE, "code_challenge_method": "S256",
        }  # fmt: skip
        buyer = await shop.buyer(0)
        page = window.page
        await page.goto(f"{shop.address}/oauth/authorize?{urlencode(asked)}")
        await page.fill("input[name=email]", buyer.email)
        await page.fill("input[name=password]", PASSWORD)
        await page.click("main button")
        await page.wait_for_selector("text=Ledger")
        assert "see your orders" in await page.inner_text("main")
        await page.click("button[value=allow]")
        await page.wait_for_url(f"{uri}?*")
        told = parse_qs(urlsplit(page.url).query)
        assert (told["state"], told["iss"]) == (["s"], [shop.address])
        assert told["code"]
        await page.goto(f"{shop.address}/oauth/authorize?{urlencode({**asked, 'prompt': 'login'})}")
        await page.wait_for_url(f"{uri}?*")
        await page.wait_for_load_state("networkidle")
        await page.goto("about:blank")
    finally:
        await runner.cleanup()
