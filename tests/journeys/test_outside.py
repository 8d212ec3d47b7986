"""A second shop lets people in who have an account at the first one: an OpenID client and its provider, over HTTP."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.shop import Shop, fresh, open_shop
from tests.shop.browser import Browser, Form, answered
from tests.shop.goods import PASSWORD
from torg.contexts.user.contracts import EnsureUser
from torg.contexts.user.model.factors import STEP, code_at
from torg.kit.ports import free_port

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


@pytest_asyncio.fixture(loop_scope="session")
async def second(shop: Shop, tmp_path: Path) -> AsyncIterator[Shop]:
    """Registered with the first shop as a client, and by the same clock: other tests may have moved the first one's."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    client = {"name": "Second shop", "redirect_uris": [f"{address}/sign-in/outside/back"], "scopes": ["openid", "profile", "email"], "tier": "enterprise"}
    made = (await (await shop.staff("admin")).post("/admin/clients", client)).json
    named = {"oidc_issuer": shop.address, "oidc_client_id": made["id"], "oidc_client_secret": made["client_secret"], "oidc_factors": "mfa"}
    async with open_shop(tmp_path, clock=shop.clock, port=port, public_url=address, **named) as opened:
        yield opened


async def back_from(shop: Shop, at_first: Browser, at_second: Browser, email: str) -> Any:
    """Leaves the second shop for the first, signs in and agrees there; the second shop's answer to what it is brought back."""
    left = await at_second.http.get("/sign-in/outside?next=/orders")
    assert left.status_code == 303
    assert left.headers["location"].startswith(f"{shop.address}/oauth/authorize?")
    asked = answered(left.headers["location"])
    assert asked["code_challenge_method"] == "S256"
    assert asked["nonce"]
    await at_first.sign_in(email)
    back = await at_first.let_in(left.headers["location"])
    return await at_second.http.get(back)


async def test_whoever_is_new_has_an_account_then(shop: Shop, second: Shop):
    email = f"{fresh()}@buyers.torg.example"
    await shop.call(EnsureUser(email=email, password=PASSWORD, full_name="Anna Petrova"))
    async with Browser(shop) as at_first, Browser(second) as at_second:
        assert "/sign-in/outside?next=" in (await at_second.http.get("/sign-in?next=/orders")).text
        came = await back_from(shop, at_first, at_second, email)
        assert (came.status_code, came.headers["location"]) == (303, "/orders")
        assert "Anna Petrova" in (await at_second.http.get("/profile")).text


async def test_whoever_has_not_confirmed_their_address_there_has_none(shop: Shop, second: Shop):
    async with Browser(shop) as at_first, Browser(second) as at_second:
        came = await back_from(shop, at_first, at_second, (await shop.buyer(0)).email)
        assert came.status_code == 409
        assert "not verified" in came.text


async def test_an_account_that_exists_is_linked_by_its_password_once(shop: Shop, second: Shop):
    anna = await shop.buyer(0)
    await second.call(EnsureUser(email=anna.email, password=PASSWORD, full_name="Anna P."))
    async with Browser(shop) as at_first, Browser(second) as at_second:
        page = await back_from(shop, at_first, at_second, anna.email)
        assert page.status_code == 200
        assert anna.email in page.text
        form = Form(page.text).fields
        assert (await at_second.http.post("/sign-in/outside/link", data={"password": PASSWORD})).status_code == 403, "it was no form of ours"
        wrong = await at_second.http.post("/sign-in/outside/link", data={**form, "password": "wrong-guess-1"})
        assert wrong.status_code == 401
        assert (await at_second.http.get("/profile")).status_code == 303, "nobody is in yet"
        right = await at_second.http.post("/sign-in/outside/link", data={**form, "password": PASSWORD})
        assert (right.status_code, right.headers["location"]) == (303, "/orders")
        assert "Anna P." in (await at_second.http.get("/profile")).text
    async with Browser(shop) as at_first, Browser(second) as again:
        came = await back_from(shop, at_first, again, anna.email)
        assert (came.status_code, came.headers["location"]) == (303, "/orders"), "from now on the provider is enough"


async def an_app(shop: Shop, email: str) -> Callable[[], str]:
    """Set up for somebody; gives codes, each of a step of its own."""
    person = await shop.sign_in(email)
    secret = base64.b32decode((await person.post("/users/me/factors/totp", {"password": PASSWORD})).json["secret"])
    steps = itertools.count(int(shop.clock().timestamp()) // STEP)
    assert (await person.post("/users/me/factors/totp/confirm", {"code": code_at(secret, next(steps))})).status == 200
    return lambda: code_at(secret, next(steps))


async def test_a_second_factor_is_asked_for_after_the_provider_unless_that_has_asked_for_one(shop: Shop, second: Shop):
    anna = await shop.buyer(0)
    await second.call(EnsureUser(email=anna.email, password=PASSWORD, full_name="Anna P."))
    code = await an_app(second, anna.email)
    async with Browser(shop) as at_first, Browser(second) as at_second:
        page = await back_from(shop, at_first, at_second, anna.email)
        more = await at_second.http.post("/sign-in/outside/link", data={**Form(page.text).fields, "password": PASSWORD})
        assert (more.status_code, "session" in at_second.http.cookies) == (401, False)
        entered = await at_second.http.post("/sign-in/code", data={**Form(more.text).fields, "code": code()})
        assert (entered.status_code, entered.headers["location"]) == (303, "/orders")
    async with Browser(shop) as at_first, Browser(second) as again:
        came = await back_from(shop, at_first, again, anna.email)
        assert (came.status_code, 'name="code"' in came.text) == (401, True), "the first shop has asked for a password alone"
    own = await an_app(shop, anna.email)
    async with Browser(shop) as at_first, Browser(second) as trusting:
        page = await at_first.http.get("/sign-in")
        more = await at_first.http.post("/sign-in", data={**Form(page.text).fields, "email": anna.email, "password": PASSWORD})
        assert (await at_first.http.post("/sign-in/code", data={**Form(more.text).fields, "code": own()})).status_code == 303
        left = await trusting.http.get("/sign-in/outside?next=/orders")
        came = await trusting.http.get(await at_first.let_in(left.headers["location"]))
        assert (came.status_code, came.headers["location"]) == (303, "/orders"), "it says mfa, and is believed"


async def test_an_answer_is_taken_from_the_browser_that_asked_and_once(shop: Shop, second: Shop):
    anna = await shop.buyer(0)
    await second.guest().post("/users", {"email": anna.email, "password": PASSWORD, "full_name": "Anna P."})
    async with Browser(shop) as at_first, Browser(second) as at_second, Browser(second) as victim:
        left = await at_second.http.get("/sign-in/outside")
        await at_first.sign_in(anna.email)
        back = await at_first.let_in(left.headers["location"])
        assert (await victim.http.get(back)).status_code == 401, "another browser has begun nothing"
        await victim.http.get("/sign-in/outside")
        assert (await victim.http.get(back)).status_code == 401, "or something else"
        for change in ("&iss=https%3A%2F%2Fevil.example", "&state=other", "&error=access_denied"):
            async with Browser(second) as other:
                other.http.cookies = at_second.http.cookies
                assert (await other.http.get(back + change)).status_code == 401, change
        kept = dict(at_second.http.cookies)
        assert (await at_second.http.get(back)).status_code == 200
        for name, value in kept.items():
            at_second.http.cookies.set(name, value)
        assert (await at_second.http.get(back)).status_code == 401, "a code is good once"


async def test_a_shop_without_a_provider_has_no_button(shop: Shop):
    async with Browser(shop) as browser:
        assert "/sign-in/outside" not in (await browser.http.get("/sign-in")).text
        assert (await browser.http.get("/sign-in/outside")).status_code == 404
