"""Tokens that somebody forges, and keys that change, wherever the contexts run."""

from __future__ import annotations

import msgspec
import pytest

from tests.shop import Shop, Visitor, until
from torg.kit.testing.forging import forged
from torg.kit.tokens import ACCESS, Checker, Jwk, Signer, jwk_of, private_key
from torg.kit.values import new_id

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]
SEED = b"\x05" * 32


async def published(shop: Shop) -> list[Jwk]:
    reply = await Visitor(shop, prefix="").get("/.well-known/jwks.json")
    assert reply.status == 200
    return msgspec.convert(reply.json["keys"], list[Jwk])


async def a_key_of_the_shops(shop: Shop) -> Signer:
    """One that tokens are believed by, and whose private half is known here."""
    kid, far = new_id(), "2999-01-01T00:00:00.000000Z"
    async with (await shop.store("user")).transaction() as tx:
        await tx.execute(
            "insert into signing_key (kid, public, private, made_at, signs_from) values (:kid, :public, '', :made_at, :far)",
            kid=kid, public=msgspec.json.encode(jwk_of(kid, SEED)).decode(), made_at="2026-01-01T00:00:00.000000Z", far=far,
        )  # fmt: skip
    return Signer(kid, private_key(kid, SEED))


async def test_no_forged_token_opens_anything(shop: Shop):
    anna = await shop.buyer(0)
    signer = await a_key_of_the_shops(shop)
    keys = await published(shop)
    claims = Checker.of("", keys).read(anna.token, ACCESS)
    sendable = {name: token for name, token in forged(signer, claims).items() if token.isprintable()}
    refused = {name: (await Visitor(shop, token).get("/users/me")).status for name, token in sendable.items()}
    assert set(refused.values()) <= {401, 431}, {name: status for name, status in refused.items() if status != 401}  # one is no token but a flood
    assert (await Visitor(shop, signer.sign(claims, ACCESS)).get("/users/me")).status == 401, "truly signed, and never handed out"
    assert (await anna.get("/users/me")).status == 200


async def test_a_forged_cookie_is_a_guests(shop: Shop):
    anna = await shop.buyer(0)
    _, payload, signature = anna.token.split(".")
    for token in (f"{payload}.{payload}.{signature}", anna.token[:-8] + "AAAAAAAA"):
        assert (await shop.guest(cookie=f"session={token}").get("/users/me")).status == 401
    assert (await shop.guest(cookie=f"session={anna.token}").get("/users/me")).status == 200


async def test_keys_are_rotated_while_people_go_on(shop: Shop):
    anna, admin = await shop.buyer(0), await shop.staff("admin")
    before = {key.kid for key in await published(shop)}
    rotated = await admin.post("/admin/keys/rotate", {})
    assert rotated.status == 200, rotated

    async def another() -> bool:
        return bool({key.kid for key in await published(shop)} - before)

    await until(another, "the new key is published", shop.told_within)
    assert [(await who.get("/users/me")).status for who in (anna, await shop.buyer(0))] == [200, 200]
    assert (await anna.post("/admin/keys/rotate", {})).status == 403
