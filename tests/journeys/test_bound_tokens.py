"""A program of somebody else's whose tokens are bound to its key (DPoP): its proofs are made by PyJWT, and all goes over HTTP."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx
import pytest
from authlib.common.security import generate_token  # type: ignore[import-untyped]

from tests.journeys.test_oauth import BACK, registered, signed_in
from tests.shop import Shop
from tests.shop.browser import answered
from torg.kit.testing.proving import Holder

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_a_stolen_token_opens_nothing_without_its_key(shop: Shop):
    program, holder, thief = await registered(shop, confidential=False), Holder(), Holder()
    assert "ES256" in program.about["dpop_signing_alg_values_supported"]
    orders, endpoint = f"{shop.address}/api/v1/orders", program.about["token_endpoint"]

    async with signed_in(shop) as (_, browser), program.open(token_endpoint_auth_method="none") as client, httpx.AsyncClient() as plain:

        async def given(who: Holder | None, **form: str) -> httpx.Response:
            headers = {"dpop": who.proof("POST", endpoint, shop.clock())} if who else {}
            return await plain.post(endpoint, data={"client_id": program.id, **form}, headers=headers)

        async def seen(token: str, who: Holder, **said: Any) -> int:
            proof = who.proof("GET", orders, shop.clock(), token, **said)
            return (await plain.get(orders, headers={"authorization": f"DPoP {token}", "dpop": proof})).status_code

        verifier = generate_token(64)
        url, _ = client.create_authorization_url(program.about["authorization_endpoint"], code_verifier=verifier)
        code = answered(await browser.let_in(url))["code"]
        reply = await given(holder, grant_type="authorization_code", code=code, redirect_uri=BACK, code_verifier=verifier)
        assert (reply.status_code, reply.json()["token_type"]) == (200, "DPoP")
        token, refresh = reply.json()["access_token"], reply.json()["refresh_token"]

        assert await seen(token, holder) == 200
        assert await seen(token, holder, htm="POST") == 401
        assert await seen(token, thief) == 401
        proof = holder.proof("GET", orders, shop.clock(), token)
        twice = [(await plain.get(orders, headers={"authorization": f"DPoP {token}", "dpop": proof})).status_code for _ in range(2)]
        assert twice == [200, 401]
        two = [("dpop", who.proof("GET", orders, shop.clock(), token)) for who in (thief, holder)]
        assert (await plain.get(orders, headers=[("authorization", f"DPoP {token}"), *two])).status_code == 401, "whichever of them is good"
        stolen = await plain.get(orders, headers={"authorization": f"Bearer {token}"})
        assert (stolen.status_code, stolen.headers["www-authenticate"][:4]) == (401, "DPoP")

        for somebody in (thief, None):
            assert (await given(somebody, grant_type="refresh_token", refresh_token=refresh)).json()["error"] == "invalid_grant"
        renewed = (await given(holder, grant_type="refresh_token", refresh_token=refresh)).json()
        assert await seen(renewed["access_token"], holder) == 200
