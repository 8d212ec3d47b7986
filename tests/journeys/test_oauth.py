"""A program of somebody else's, written with other people's libraries (Authlib for OAuth, PyJWT for what is signed), over HTTP alone."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import jwt
import pytest
from aiohttp import web
from authlib.common.security import generate_token  # type: ignore[import-untyped]
from authlib.integrations.base_client.errors import OAuthError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

from tests.shop import Shop, until
from tests.shop.browser import Browser, Form, answered
from tests.shop.goods import PASSWORD

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]
BACK = "https://ledger.example/back"
SCOPE = "openid profile email offline_access orders:read"


@dataclass
class Registered:
    """A client, and what the shop says of itself."""

    id: str
    secret: str
    about: dict[str, Any]

    def open(self, scope: str = SCOPE, **more: Any) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(self.id, self.secret or None, scope=scope, redirect_uri=BACK, code_challenge_method="S256", **more)


async def registered(shop: Shop, **more: Any) -> Registered:
    """Registered by an administrator; found out about by discovery."""
    given = {"name": "Ledger", "redirect_uris": [BACK], "scopes": [*SCOPE.split(), "orders:write"], **more}
    reply = await (await shop.staff("admin")).post("/admin/clients", given)
    assert reply.status == 201, reply
    async with httpx.AsyncClient() as plain:
        about = (await plain.get(f"{shop.address}/.well-known/openid-configuration")).json()
        assert about == (await plain.get(f"{shop.address}/.well-known/oauth-authorization-server")).json()
    assert about["issuer"] == shop.address
    return Registered(reply.json["id"], reply.json["client_secret"], about)


async def fetched(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(headers=headers) as plain:
        return await plain.get(url)


async def read(about: Mapping[str, Any], id_token: str, audience: str) -> dict[str, Any]:
    """An ID token, checked by PyJWT with the published keys; the shop's clock may be ahead."""
    async with httpx.AsyncClient() as plain:
        keys = jwt.PyJWKSet.from_dict((await plain.get(about["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(id_token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        id_token, key.key, algorithms=about["id_token_signing_alg_values_supported"], audience=audience, issuer=about["issuer"],
        options={"verify_iat": False},
    )  # fmt: skip
    assert 0 < claims["exp"] - claims["iat"] <= 900
    return claims


@asynccontextmanager
async def signed_in(shop: Shop) -> AsyncIterator[tuple[Any, Browser]]:
    buyer = await shop.buyer(0)
    async with Browser(shop) as browser:
        await browser.sign_in(buyer.email)
        yield buyer, browser


async def through(client: AsyncOAuth2Client, program: Registered, browser: Browser, **more: Any) -> dict[str, Any]:
    verifier = generate_token(64)
    url, state = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=verifier, **more)
    back = await browser.let_in(url)
    assert answered(back)["iss"] == program.about["issuer"]
    token: dict[str, Any] = await client.fetch_token(program.about["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)
    return token


async def test_from_discovery_to_logout(shop: Shop):
    program, anna = await registered(shop, logout_uris=["https://ledger.example/bye"]), await shop.buyer(0)
    async with program.open() as client, Browser(shop) as browser:
        verifier, nonce = generate_token(64), generate_token(20)
        url, state = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=verifier, nonce=nonce)

        guest = await browser.http.get(url)
        assert guest.status_code == 303
        assert guest.headers["location"].startswith("/sign-in")
        url = await browser.sign_in(anna.email, await browser.http.get(guest.headers["location"]))
        back = await browser.let_in(url)
        assert back.startswith(f"{BACK}?")
        assert answered(back)["state"] == state

        token = await client.fetch_token(program.about["token_endpoint"], authorization_response=back, state=state, code_verifier=verifier)
        assert (token["scope"], token["token_type"]) == (SCOPE, "Bearer")
        claims = await read(program.about, token["id_token"], program.id)
        assert (claims["sub"], claims["nonce"]) == (anna.user_id, nonce)
        half = hashlib.sha512(token["access_token"].encode()).digest()[:32]
        assert claims["at_hash"] == urlsafe_b64encode(half).rstrip(b"=").decode()
        assert abs(claims["auth_time"] - claims["iat"]) <= 60
        assert claims["amr"] == ["pwd"]
        assert "email" not in claims, "that is what userinfo is for"
        about = (await client.get(program.about["userinfo_endpoint"])).json()
        assert about == {"sub": anna.user_id, "name": "Anna Petrova", "locale": about["locale"], "email": anna.email, "email_verified": False}

        assert (await client.get(f"{shop.address}/api/v1/orders")).status_code == 200
        refused = await client.post(f"{shop.address}/api/v1/orders", json={}, headers={"idempotency-key": "k"})
        assert (refused.status_code, refused.json()["code"]) == (403, "scope.required"), "orders:read does not order"
        assert (await client.get(f"{shop.address}/api/v1/wallet")).json()["code"] == "scope.required"
        assert (await client.get(f"{shop.address}/api/v1/users/me/export")).json()["code"] == "scope.never"
        pages = await fetched(f"{shop.address}/profile", cookie=f"session={token['access_token']}")
        assert pages.status_code == 303, "no program sees the pages"

        renewed = await client.refresh_token(program.about["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        asked = await client.introspect_token(program.about["introspection_endpoint"], token=renewed["access_token"])
        assert (asked.json()["active"], asked.json()["client_id"], asked.json()["sub"]) == (True, program.id, anna.user_id)
        assert (await client.introspect_token(program.about["introspection_endpoint"], token=token["access_token"])).json() == {"active": False}

        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(program.about["token_endpoint"], refresh_token=token["refresh_token"])

        async def ended() -> bool:
            told = await client.introspect_token(program.about["introspection_endpoint"], token=renewed["access_token"])
            return bool(told.json() == {"active": False})

        await until(ended, "the renewed token has ended as well", shop.told_within)
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(program.about["token_endpoint"], refresh_token=renewed["refresh_token"])

        again = await through(client, program, browser)
        assert (await client.revoke_token(program.about["revocation_endpoint"], token=again["refresh_token"])).status_code == 200

        async def revoked() -> bool:
            return (await fetched(program.about["userinfo_endpoint"], authorization=f"Bearer {again['access_token']}")).status_code == 401

        await until(revoked, "what was revoked has ended", shop.told_within)

        query = {"id_token_hint": again["id_token"], "post_logout_redirect_uri": "https://ledger.example/bye", "state": "s"}
        bye = await browser.http.get(program.about["end_session_endpoint"], params=query)
        assert (bye.status_code, bye.headers["location"]) == (303, "https://ledger.example/bye?state=s")
        assert (await browser.http.get("/profile")).status_code == 303, "they are a guest again"


async def test_whoever_agreed_is_not_asked_twice_and_can_take_it_back(shop: Shop):
    program = await registered(shop)
    async with signed_in(shop) as (anna, browser), program.open() as client:
        token = await through(client, program, browser)
        url, _ = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=generate_token(64), prompt="none")
        assert "code" in answered((await browser.http.get(url)).headers["location"])
        (consent,) = (await anna.get("/users/me/consents")).json["items"]
        assert (consent["client_id"], consent["client_name"]) == (program.id, "Ledger")
        assert (await anna.delete(f"/users/me/consents/{program.id}")).status == 204

        async def taken_back() -> bool:
            return bool((await client.get(program.about["userinfo_endpoint"])).status_code == 401)

        await until(taken_back, "what was taken back has ended", shop.told_within)
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(program.about["token_endpoint"], refresh_token=token["refresh_token"])
        assert answered((await browser.http.get(url)).headers["location"])["error"] == "consent_required"


async def test_a_program_may_want_a_sign_in_that_is_not_old(shop: Shop):
    program = await registered(shop)
    async with signed_in(shop) as (anna, browser), program.open() as client:
        first = await read(program.about, (await through(client, program, browser))["id_token"], program.id)
        shop.clock.advance(minutes=11)
        endpoint = program.about["authorization_endpoint"]
        for wanted in ({"max_age": "600"}, {"prompt": "login"}):
            url, _ = client.create_authorization_url(endpoint, code_verifier=generate_token(64), **wanted)
            assert (await browser.http.get(url)).headers["location"].startswith("/sign-in"), wanted
        silently, _ = client.create_authorization_url(endpoint, code_verifier=generate_token(64), max_age="600", prompt="none")
        assert answered((await browser.http.get(silently)).headers["location"])["error"] == "login_required"
        patient, _ = client.create_authorization_url(endpoint, code_verifier=generate_token(64), max_age="6000")
        assert "code" in answered((await browser.http.get(patient)).headers["location"])
        page = await browser.http.get("/profile/second-factor")
        assert page.status_code == 403
        proven = await browser.http.post("/profile/proof", data={**Form(page.text).fields, "proof_password": PASSWORD})
        assert proven.status_code == 303
        again = await read(program.about, (await through(client, program, browser, max_age="600"))["id_token"], program.id)
        assert again["auth_time"] - first["auth_time"] >= 660
        assert again["sub"] == anna.user_id


async def test_no_is_an_answer(shop: Shop):
    program = await registered(shop)
    async with signed_in(shop) as (_, browser), program.open() as client:
        url, state = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=generate_token(64))
        told = answered(await browser.let_in(url, "deny"))
        assert (told["error"], told["state"], told["iss"]) == ("access_denied", state, shop.address)


async def test_a_code_is_good_once_for_its_client_its_address_and_its_verifier(shop: Shop):
    program, other = await registered(shop), await registered(shop, name="Other")
    async with signed_in(shop) as (_, browser), program.open() as client:
        verifier = generate_token(64)

        async def code() -> str:
            url, _ = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=verifier)
            return answered(await browser.let_in(url))["code"]

        async def exchanged(who: Registered = program, **more: str) -> httpx.Response:
            form = {"grant_type": "authorization_code", "redirect_uri": BACK, "code_verifier": verifier, **more}
            async with httpx.AsyncClient(auth=(who.id, who.secret)) as plain:
                return await plain.post(who.about["token_endpoint"], data=form)

        for more in ({"code_verifier": generate_token(64)}, {"redirect_uri": BACK + "/"}, {"code_verifier": ""}, {"code": "made up"}):
            refused = await exchanged(**{"code": await code(), **more})
            assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant"), more
        assert (await exchanged(other, code=await code())).json()["error"] == "invalid_grant"
        one = await code()
        good = await exchanged(code=one)
        assert good.status_code == 200
        assert good.headers["cache-control"] == "no-store"
        twice = await exchanged(code=one)
        assert twice.json()["error"] == "invalid_grant"
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {good.json()['access_token']}"}) as thief:

            async def is_out() -> bool:
                return (await thief.get(program.about["userinfo_endpoint"])).status_code == 401

            await until(is_out, "what it was exchanged for has ended", shop.told_within)
        outcomes = await asyncio.gather(*(exchanged(code=raced) for raced in [await code()] * 5))
        assert sorted(outcome.status_code for outcome in outcomes) == [200, 400, 400, 400, 400]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "openid admin:write"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://ledger.example/asked"}, "request_uri_not_supported"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
    ],
)
async def test_what_a_program_asks_wrongly_it_is_told(shop: Shop, change: dict[str, str], error: str):
    program = await registered(shop)
    async with signed_in(shop) as (_, browser), program.open() as client:
        url, _ = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=generate_token(64))
        asked = {**answered(url), **change}
        reply = await browser.http.get("/oauth/authorize", params=asked)
        assert answered(reply.headers["location"])["error"] == error


@pytest.mark.parametrize(
    "uri",
    [
        "https://ledger.example/back/", "https://ledger.example/back?x=1", "https://ledger.example:443/back", "https://ledger.example.evil.example/back",
        "http://ledger.example/back", "https://evil.example", "//evil.example", "javascript:alert(1)", "/", "", "https://ledger.example/back#f",
        "https://ledger.example/../back", "HTTPS://ledger.example/back", "https://ledger.example\\@evil.example/back",
    ],
)  # fmt: skip
async def test_nobody_is_sent_to_an_address_that_is_not_registered(shop: Shop, uri: str):
    program = await registered(shop)
    async with signed_in(shop) as (_, browser), program.open() as client:
        url, _ = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=generate_token(64))
        for method in ("get", "post"):
            asked = {**answered(url), "redirect_uri": uri, "answer": "allow"}
            reply = await (
                browser.http.get(url, params=asked) if method == "get" else browser.http.post("/oauth/authorize", data={**await browser.token(), **asked})
            )
            assert (reply.status_code, reply.headers.get("location")) == (409, None)
            assert "not registered" in reply.text


async def test_a_program_on_peoples_own_machines_has_no_secret_and_any_port(shop: Shop):
    local = "http://127.0.0.1:0/back"
    program = await registered(shop, confidential=False, redirect_uris=[local])
    assert program.secret == ""
    async with signed_in(shop) as (_, browser), program.open(token_endpoint_auth_method="none") as client:
        client.redirect_uri = "http://127.0.0.1:49152/back"
        token = await through(client, program, browser)
        renewed = await client.refresh_token(program.about["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["access_token"]
        async with httpx.AsyncClient() as plain:
            stranger = await plain.post(program.about["introspection_endpoint"], data={"client_id": program.id, "token": renewed["access_token"]})
        assert stranger.status_code == 401


async def test_a_partner_comes_by_itself(shop: Shop):
    partner = await shop.buyer(0)
    program = await registered(
        shop, name="Partner", redirect_uris=[], grants=["client_credentials"], scopes=["orders:read", "catalog:read"], acts_for=partner.user_id, tier="premium"
    )
    async with program.open(scope="orders:read") as client:
        token = await client.fetch_token(program.about["token_endpoint"], grant_type="client_credentials")
        assert "refresh_token" not in token
        assert token["scope"] == "orders:read"
        assert (await client.get(f"{shop.address}/api/v1/orders")).json()["items"] == []
        assert (await client.get(f"{shop.address}/api/v1/users/me")).status_code == 403
        with pytest.raises(OAuthError, match="invalid_scope"):
            await client.fetch_token(program.about["token_endpoint"], grant_type="client_credentials", scope="openid")
        admin = await shop.staff("admin")
        renewed = (await admin.post(f"/admin/clients/{program.id}/secret")).json["client_secret"]
        assert renewed != program.secret
        with pytest.raises(OAuthError, match="invalid_client"):
            await client.fetch_token(program.about["token_endpoint"], grant_type="client_credentials")
        assert (await admin.post(f"/admin/clients/{program.id}/disable")).status == 200
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {token['access_token']}"}) as plain:

            async def disabled() -> bool:
                return (await plain.get(f"{shop.address}/api/v1/orders")).status_code == 401

            await until(disabled, "what it had has ended", max(shop.told_within, 4))
        listed = (await admin.get("/admin/clients")).json["items"]
        assert not any("secret" in field for client_view in listed for field in client_view)


@pytest.mark.parametrize("secret", ["", "wrong"])
async def test_a_wrong_secret_opens_nothing(shop: Shop, secret: str):
    program = await registered(shop)
    for endpoint in ("token", "revocation", "introspection"):
        form = {"grant_type": "authorization_code", "code": "x", "token": "x"}
        async with httpx.AsyncClient() as plain:
            by_header = await plain.post(program.about[f"{endpoint}_endpoint"], data=form, auth=(program.id, secret))
            by_form = await plain.post(program.about[f"{endpoint}_endpoint"], data={**form, "client_id": program.id, "client_secret": secret})
        assert (by_header.status_code, by_header.json()["error"]) == (401, "invalid_client")
        assert "www-authenticate" in by_header.headers
        assert by_form.status_code == 401


async def test_clients_refresh_tokens_and_sessions_of_the_shop_do_not_mix(shop: Shop):
    program = await registered(shop)
    async with signed_in(shop) as (anna, browser), program.open() as client:
        token = await through(client, program, browser)
        assert (await shop.guest().post("/sessions/refresh", {"refresh_token": token["refresh_token"]})).status == 401
        own = (await shop.guest().post("/sessions", {"email": anna.email, "password": PASSWORD})).json
        with pytest.raises(OAuthError, match="invalid_grant"):
            await client.refresh_token(program.about["token_endpoint"], refresh_token=own["refresh_token"])
        assert (await client.refresh_token(program.about["token_endpoint"], refresh_token=token["refresh_token"]))["access_token"]


async def test_programs_are_told_when_somebody_signs_out(shop: Shop):
    told: list[str] = []

    async def twice() -> bool:
        return len(told) > 1

    async def hear(request: web.Request) -> web.Response:
        told.append(str((await request.post())["logout_token"]))
        return web.Response(status=503 if len(told) == 1 else 200)

    app = web.Application()
    app.router.add_post("/logout", hear)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    program = await registered(shop, backchannel_uri=f"http://127.0.0.1:{port}/logout")
    try:
        async with signed_in(shop) as (anna, browser), program.open(scope="openid") as client:
            token = await through(client, program, browser)
            await browser.http.post("/sign-out", data=await browser.token())
            await until(twice, "the program is told again")
            with pytest.raises(OAuthError, match="invalid_grant"):
                await client.refresh_token(program.about["token_endpoint"], refresh_token=token["refresh_token"])
    finally:
        await runner.cleanup()
    assert {jwt.get_unverified_header(one)["typ"] for one in told} == {"logout+jwt"}
    claims = await read(program.about, told[-1], program.id)
    assert (claims["sub"], claims["sid"]) == (anna.user_id, (await read(program.about, token["id_token"], program.id))["sid"])
    assert list(claims["events"]) == ["http://schemas.openid.net/event/backchannel-logout"]
    assert "nonce" not in claims
