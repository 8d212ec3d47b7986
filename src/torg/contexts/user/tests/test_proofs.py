"""Asked anew before what matters, and a passkey as the second step."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.passkeys_webauthn import WebAuthn
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.model.factors import ticket_of
from torg.contexts.user.model.proofs import PROOF_FOR
from torg.contexts.user.tests.device import Device
from torg.contexts.user.tests.house import GOOD, ISSUER, House, open_house
from torg.contexts.user.tests.test_factors import set_up
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, Forbidden, Invalid, TooManyRequests, Unauthenticated
from torg.kit.messages import Message
from torg.kit.testing.http import ask


async def signed_in(house: House, **more: Any) -> Identity:
    return await house.holder(await house.sign_in(**more))


async def with_passkey(house: House, me: Identity, device: Device | None = None) -> Device:
    device = device or Device(ISSUER)
    begun = await house.do(c.BeginPasskey(holder=me))
    await house.do(c.AddPasskey(holder=me, ticket=begun.ticket, credential=device.make(begun.options), name="Mine"))
    return device


def what_matters(me: Identity, key_id: str) -> list[Message]:
    return [
        c.ChangeProfile(holder=me, email="other@example.com"), c.BeginTotp(holder=me), c.RenewRecoveryCodes(holder=me), c.RemoveTotp(holder=me),
        c.AddPasskeyStep(me), c.RemovePasskeyStep(me), c.BeginPasskey(holder=me), c.RemovePasskey(me, "ab"),
        c.MakeApiKey(holder=me, name="key", scopes=("orders:read",)), c.RotateApiKey(holder=me, key_id=key_id), c.ExportMyData(me), c.EraseMe(me),
    ]  # fmt: skip


async def test_what_matters_takes_a_proof_that_is_not_old(house: House):
    await house.register()
    me = await signed_in(house)
    key = await house.do(c.MakeApiKey(holder=me, name="first", scopes=("orders:read",)))
    house.clock.advance(seconds=PROOF_FOR.total_seconds() + 1)
    for message in what_matters(me, key.id):
        with pytest.raises(Forbidden) as refused:
            await house.do(message)
        assert refused.value.code == "session.reauthenticate", message
        assert [(way.field, way.code) for way in refused.value.errors] == [("way", "password")]
    await house.do(c.ChangeProfile(holder=me, full_name="Anna P."))
    with pytest.raises(Invalid):
        await house.do(c.ProveAgain(holder=me, password="wrong-guess-1"))
    proof = await house.do(c.ProveAgain(holder=me, password=GOOD))
    assert proof.until == house.clock() + PROOF_FOR
    await house.do(c.ChangeProfile(holder=me, email="other@example.com"))
    await house.do(c.EraseMe(me))


async def test_another_session_of_theirs_has_proven_nothing_by_that(house: House):
    await house.register()
    old = await signed_in(house)
    house.clock.advance(minutes=11)
    await signed_in(house)
    with pytest.raises(Forbidden):
        await house.do(c.ExportMyData(old))


async def test_who_has_a_second_factor_gives_it_with_the_password(house: House):
    await house.register()
    me = await signed_in(house)
    app, codes = await set_up(house, me)
    house.clock.advance(minutes=11)
    with pytest.raises(Forbidden) as refused:
        await house.do(c.RemoveTotp(holder=me, password=GOOD))
    assert {way.code for way in refused.value.errors} == {"password", "totp", "recovery_code"}
    with pytest.raises(Invalid) as missing:
        await house.do(c.ProveAgain(holder=me, password=GOOD))
    assert [error.field for error in missing.value.errors] == ["code"]
    with pytest.raises(Invalid):
        await house.do(c.ProveAgain(holder=me, password=GOOD, code="000000"))
    with pytest.raises(Invalid):
        await house.do(c.ProveAgain(holder=me, code=app.code()))
    await house.do(c.ProveAgain(holder=me, password=GOOD, code=app.code()))
    house.clock.advance(minutes=11)
    await house.do(c.ProveAgain(holder=me, password=GOOD, code=codes[0]))
    await house.do(c.RemoveTotp(holder=me))
    assert (await house.do(c.GetFactors(me))).recovery_codes == 0


async def test_guessing_in_a_stolen_session_has_to_wait(house: House):
    await house.register()
    me = await signed_in(house)
    with pytest.raises(TooManyRequests):
        for _ in range(20):
            with pytest.raises(Invalid):
                await house.do(c.ProveAgain(holder=me, password="wrong-guess-1"))


async def test_a_program_proves_nothing_and_changes_no_address(house: House):
    await house.register()
    me = await signed_in(house)
    key = await house.do(c.MakeApiKey(holder=me, name="key", scopes=("account:write",)))
    program = await house.do(c.Authenticate(key.key))
    for message in (c.ProveAgain(holder=program, password=GOOD), c.ChangeProfile(holder=program, email="other@example.com")):
        with pytest.raises(Forbidden):
            await house.do(message)


async def test_over_http_a_refusal_says_what_to_do_and_doing_it_helps(house: House):
    await house.register()
    tokens = await house.sign_in()
    headers: dict[str, Any] = {"authorization": f"Bearer {tokens.access_token}"}
    house.clock.advance(minutes=11)
    refused = await ask(house.app, "GET", "/api/v1/users/me/export", **headers)
    assert (refused.status, refused.json["code"]) == (403, "session.reauthenticate")
    assert "/sessions/current/proof" in refused.json["detail"]
    proven = await ask(house.app, "POST", "/api/v1/sessions/current/proof", {"password": GOOD}, **headers)
    assert (proven.status, proven.headers["cache-control"]) == (200, "no-store")
    assert (await ask(house.app, "GET", "/api/v1/users/me/export", **headers)).status == 200


# ---------------------------------------------------------------- passkeys


async def test_a_passkey_proves_it_alone_and_each_challenge_once(house: House):
    await house.register()
    me = await signed_in(house)
    device = await with_passkey(house, me)
    house.clock.advance(minutes=11)
    asked = await house.do(c.BeginProof(me))
    shown = device.show(asked.options)
    await house.do(c.ProveAgain(holder=me, ticket=asked.ticket, credential=shown))
    await house.do(c.RemovePasskey(me, device.id.hex()))
    with pytest.raises(Unauthenticated):
        await house.do(c.ProveAgain(holder=me, ticket=asked.ticket, credential=shown))


async def test_another_persons_passkey_proves_nothing(house: House):
    await house.register()
    await house.register("boris@example.com")
    me, boris = await signed_in(house), await signed_in(house, email="boris@example.com")
    await with_passkey(house, me)
    his = await with_passkey(house, boris, Device(ISSUER, b"passkey-2"))
    asked = await house.do(c.BeginProof(me))
    with pytest.raises(Unauthenticated):
        await house.do(c.ProveAgain(holder=me, ticket=asked.ticket, credential=his.show(asked.options)))
    for_him = await house.do(c.BeginProof(boris))
    with pytest.raises(Unauthenticated):
        await house.do(c.ProveAgain(holder=me, ticket=for_him.ticket, credential=his.show(for_him.options)))


async def after_the_password(house: House, **more: Any) -> tuple[str, set[str]]:
    with pytest.raises(Unauthenticated) as refused:
        await house.sign_in(**more)
    assert refused.value.code == "session.second_factor"
    return ticket_of(refused.value), {error.code for error in refused.value.errors if error.field == "way"}


async def test_a_passkey_is_asked_for_after_the_password_once_that_is_wanted(house: House):
    await house.register()
    me = await signed_in(house)
    with pytest.raises(DomainError, match="add one first"):
        await house.do(c.AddPasskeyStep(me))
    device = await with_passkey(house, me)
    assert (await house.sign_in()).access_token, "a passkey alone changes nothing about the password"
    codes = (await house.do(c.AddPasskeyStep(me))).codes
    assert len(codes) == 10
    assert (await house.do(c.AddPasskeyStep(me))).codes == (), "those there are go on"
    ticket, ways = await after_the_password(house)
    assert ways == {"passkey", "recovery_code"}
    asked = await house.do(c.BeginPasskeyStep(ticket))
    shown = device.show(asked.options)
    for wrong in ({"ticket": "made-up"}, {"challenge": "made-up"}, {"credential": "{}"}):
        with pytest.raises(Unauthenticated):
            await house.do(c.GivePasskey(**{"ticket": ticket, "challenge": asked.ticket, "credential": shown, **wrong}))
    tokens = await house.do(c.GivePasskey(ticket=ticket, challenge=asked.ticket, credential=shown))
    assert (await house.holder(tokens)).user_id == me.user_id
    with pytest.raises(Unauthenticated):
        await house.do(c.GivePasskey(ticket=ticket, challenge=asked.ticket, credential=shown))
    assert (await house.do(c.GiveCode(ticket=ticket, code=codes[3]))).access_token, "the way out"
    with pytest.raises(Unauthenticated):
        await house.do(c.GiveCode(ticket=ticket, code=codes[3]))


async def test_another_persons_passkey_is_no_second_step_nor_is_one_whose_holder_is_unknown(house: House):
    await house.register()
    await house.register("boris@example.com")
    me, boris = await signed_in(house), await signed_in(house, email="boris@example.com")
    device = await with_passkey(house, me)
    await house.do(c.AddPasskeyStep(me))
    his = await with_passkey(house, boris, Device(ISSUER, b"passkey-2"))
    ticket, _ = await after_the_password(house)
    device.flags = 1
    for credential_of in (his, device):
        asked = await house.do(c.BeginPasskeyStep(ticket))
        with pytest.raises(Unauthenticated):
            await house.do(c.GivePasskey(ticket=ticket, challenge=asked.ticket, credential=credential_of.show(asked.options)))
    anybodys = await house.do(c.BeginPasskeySignIn())
    device.flags = 5
    with pytest.raises(Unauthenticated):
        await house.do(c.GivePasskey(ticket=ticket, challenge=anybodys.ticket, credential=device.show(anybodys.options)))


async def test_with_the_last_passkey_goes_its_step_and_with_the_last_step_the_recovery_codes(house: House):
    await house.register()
    me = await signed_in(house)
    device = await with_passkey(house, me)
    await house.do(c.AddPasskeyStep(me))
    await set_up(house, me)
    await house.do(c.RemovePasskey(me, device.id.hex()))
    factors = await house.do(c.GetFactors(me))
    assert (factors.totp, factors.passkey_step, factors.recovery_codes) == (True, False, 10)
    _, ways = await after_the_password(house)
    assert ways == {"totp", "recovery_code"}
    await house.do(c.RemoveTotp(holder=me))
    assert (await house.do(c.GetFactors(me))).recovery_codes == 0
    assert (await house.sign_in()).access_token
    assert (await house.log_of(me.user_id)).count("user.passkey_step_changed") == 2


async def test_staff_are_staff_in_sessions_that_several_things_have_opened(tmp_path: Path):
    async with open_house(tmp_path) as plain:
        store = SqlSessionStore(plain.deps.store.database, plain.clock, staff_factor=True)
        house = House(replace(plain.deps, sessions=store), plain.clock)
        await house.do(c.EnsureUser(email="anna@example.com", password=GOOD, full_name="Anna", roles=(Role.CUSTOMER, Role.SUPPORT)))
        by_password = await house.sign_in()
        device = await with_passkey(house, await house.holder(by_password))
        asked = await house.do(c.BeginPasskeySignIn())
        by_passkey = await house.do(c.SignInWithPasskey(ticket=asked.ticket, credential=device.show(asked.options)))
        assert (await house.holder(by_passkey)).roles == {Role.CUSTOMER, Role.SUPPORT}
        me = await house.holder(by_password)
        assert (me.roles, me.lacks_factor) == (frozenset({Role.CUSTOMER}), True), "a password that others may know stays a password"
        proof = await house.do(c.BeginProof(me))
        await house.do(c.ProveAgain(holder=me, ticket=proof.ticket, credential=device.show(proof.options)))
        assert (await house.holder(by_password)).roles == {Role.CUSTOMER, Role.SUPPORT}, "at once"


@pytest.mark.parametrize("address", ["http://127.0.0.1:8000", "http://[::1]:8000"])
async def test_where_the_address_is_a_number_of_this_machine_passkeys_are_localhosts(house: House, address: str):
    house.deps = replace(house.deps, devices=WebAuthn(address))
    await house.register()
    device = await with_passkey(house, await signed_in(house), Device("http://localhost:8000"))
    asked = await house.do(c.BeginPasskeySignIn())
    assert msgspec.json.decode(asked.options)["rpId"] == "localhost"
    assert await house.do(c.SignInWithPasskey(ticket=asked.ticket, credential=device.show(asked.options)))


async def test_a_session_knows_by_what_it_was_proven_and_when(house: House):
    await house.register()
    me = await signed_in(house)
    device = await with_passkey(house, me)
    session = await house.deps.sessions.find(me.session_id)
    assert session
    assert session.amr == "pwd"
    house.clock.advance(seconds=timedelta(minutes=20).total_seconds())
    asked = await house.do(c.BeginProof(me))
    await house.do(c.ProveAgain(holder=me, ticket=asked.ticket, credential=device.show(asked.options)))
    session = await house.deps.sessions.find(me.session_id)
    assert session
    assert (session.amr, session.proven_at) == ("pwd pop mfa", house.clock())
