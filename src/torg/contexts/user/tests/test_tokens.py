"""Access tokens: signed, looked up, and dead as soon as their session is; keys change while people go on."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta

import msgspec

from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.keys_sql import SqlKeys
from torg.contexts.user.handlers.tokens import rotate_old_keys
from torg.contexts.user.model.keys import PUBLISHED_FOR, ROTATED_AFTER
from torg.contexts.user.tests.house import ISSUER, House
from torg.kit.sealing import Sealer
from torg.kit.testing.forging import forged
from torg.kit.testing.http import ask
from torg.kit.tokens import ACCESS, Checker, Claims


async def said(house: House, token: str) -> Claims:
    return (await house.deps.keys.checker(house.clock())).check(token, ACCESS, ISSUER, house.clock())


def beside(house: House, secret: str = "a secret") -> House:
    """Another instance, which holds the ring by itself."""
    random = house.deps.randomness
    return House(replace(house.deps, keys=SqlKeys(house.deps.store, ISSUER, Sealer(secret, "keys", random), random)), house.clock)


async def status(house: House, token: str) -> int:
    return (await ask(house.app, "GET", "/api/v1/users/me/addresses", authorization=f"Bearer {token}")).status


async def test_a_token_says_whose_session_it_is_and_nothing_personal(house: House) -> None:
    user = await house.register()
    claims = await said(house, (await house.sign_in()).access_token)
    assert (claims.sub, claims.client_id, claims.iss, claims.aud) == (user.id, "torg", ISSUER, ISSUER)
    assert claims.sid
    assert claims.jti
    assert 0 < claims.exp - claims.iat <= 15 * 60
    assert claims == Claims(**{name: getattr(claims, name) for name in ("iss", "aud", "sub", "iat", "exp", "jti", "client_id", "sid")}), "and no more"


async def test_every_forged_token_is_refused_and_none_gets_to_the_store(house: House) -> None:
    user = await house.register()
    honest = (await house.sign_in()).access_token
    claims = await said(house, honest)
    assert claims.sub == user.id
    looked_up: list[str] = []
    holder = house.deps.sessions.holder

    async def watched(token: str, now: object) -> object:
        looked_up.append(token)
        return await holder(token, house.clock())

    house.deps.sessions.holder = watched  # type: ignore[method-assign, assignment]
    corpus = forged(await house.deps.keys.signer(house.clock()), claims)
    answers = {name: await status(house, token) for name, token in corpus.items()}
    assert set(answers.values()) == {401}, {name for name, answered in answers.items() if answered != 401}
    assert not looked_up
    assert await status(house, honest) == 200
    assert looked_up


async def test_a_token_that_is_truly_signed_but_of_no_session_is_refused(house: House) -> None:
    await house.register()
    claims = await said(house, (await house.sign_in()).access_token)
    made = (await house.deps.keys.signer(house.clock())).sign(msgspec.structs.replace(claims, jti="another"), ACCESS)
    assert await status(house, made) == 401


async def test_a_clock_that_is_set_back_lets_no_ended_session_live_on(house: House) -> None:
    await house.register()
    tokens = await house.sign_in()
    assert await status(house, tokens.access_token) == 200
    async with house.deps.transaction() as tx:
        await tx.execute("delete from session")
    house.clock.advance(hours=-1)
    if "redis" not in type(house.deps.sessions).__module__:
        assert await status(house, tokens.access_token) == 401


# ---------------------------------------------------------------- keys


async def kids(house: House) -> list[str]:
    answer = await ask(house.app, "GET", "/.well-known/jwks.json")
    assert answer.status == 200
    assert all(key.keys() == {"kid", "x", "kty", "crv", "alg", "use"} for key in answer.json["keys"]), "nothing private"
    return [key["kid"] for key in answer.json["keys"]]


def kid_of(token: str) -> str:
    head = token.partition(".")[0]
    return str(msgspec.json.decode(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"])


async def test_a_new_key_is_published_before_it_signs_and_the_old_one_believed_until_its_last_token_ran_out(house: House) -> None:
    await house.register()
    before = await house.sign_in()
    (old,) = await kids(house)
    await house.do(c.RotateKeys())
    new = (await kids(house))[-1]
    assert kid_of((await house.sign_in()).access_token) == old, "others have yet to learn of it"
    house.clock.advance(seconds=PUBLISHED_FOR.total_seconds() - 1)
    last = await house.sign_in()
    assert kid_of(last.access_token) == old
    house.clock.advance(seconds=1)
    assert kid_of((await house.sign_in()).access_token) == new
    assert [await status(house, tokens.access_token) for tokens in (before, last)] == [200, 200]
    house.clock.advance(seconds=15 * 60 - 3)
    assert await status(house, last.access_token) == 200
    assert await kids(house) == [old, new]
    house.clock.advance(minutes=4)
    assert await kids(house) == [new]


async def test_keys_that_grow_old_are_replaced(house: House) -> None:
    await kids(house)
    await rotate_old_keys(house.deps)
    assert len(await kids(house)) == 1
    house.clock.advance(seconds=ROTATED_AFTER.total_seconds())
    await rotate_old_keys(house.deps)
    await rotate_old_keys(house.deps)
    assert len(await kids(house)) == 2


async def test_a_compromised_key_is_believed_by_nobody_within_five_seconds(house: House) -> None:
    await house.register()
    tokens = await house.sign_in()
    other = beside(house)
    assert await status(other, tokens.access_token) == 200
    await house.do(c.RotateKeys(compromised=True))
    house.clock.advance(seconds=5)
    assert [await status(one, tokens.access_token) for one in (house, other)] == [401, 401]
    renewed = await house.do(c.RefreshSession(tokens.refresh_token))
    assert [await status(one, renewed.access_token) for one in (house, other)] == [200, 200]


async def test_rotation_under_load_costs_nobody_a_401(house: House) -> None:
    await house.register()
    seen, done = set[int](), asyncio.Event()
    tokens = [await house.sign_in() for _ in range(5)]

    async def go_on(n: int) -> None:
        while not done.is_set():
            seen.add(await status(house, tokens[n].access_token))
            tokens[n] = await house.do(c.RefreshSession(tokens[n].refresh_token))
            await asyncio.sleep(0)

    people = [asyncio.create_task(go_on(n)) for n in range(len(tokens))]
    for _ in range(5):
        await house.do(c.RotateKeys())
        for _ in range(20):
            house.clock.advance(seconds=7)
            await asyncio.sleep(0.001)
    done.set()
    await asyncio.gather(*people)
    assert seen == {200}
    assert len({key.kid for key in await house.deps.keys.all()}) == 6


async def test_a_lost_secret_makes_a_new_key_and_ends_no_session(house: House) -> None:
    await house.register()
    tokens = await house.sign_in()
    other = beside(house, "another secret")
    assert await status(other, tokens.access_token) == 200
    assert await status(other, (await other.sign_in()).access_token) == 200
    assert len(await kids(other)) == 2


async def test_two_processes_that_start_together_make_one_key(house: House) -> None:
    rings = [beside(house).deps.keys for _ in range(3)]
    signers = await asyncio.gather(*(ring.signer(house.clock()) for ring in rings))
    assert len({signer.kid for signer in signers}) == 1


async def test_what_edges_learn_is_enough_to_tell_a_forged_token(house: House) -> None:
    await house.register()
    token = (await house.sign_in()).access_token
    known = await house.do(c.GetPublicKeys())
    checker = Checker.of(known.issuer, known.keys)
    house.clock.advance(seconds=timedelta(minutes=5).total_seconds())
    assert checker.check(token, ACCESS, ISSUER, house.clock()).sid
