"""Whoever was in an account before its owner, or is in it for a moment, does not stay: not by what they have left behind there, nor by what is under way."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.model import api_keys, attempts, factors, links, passkeys
from torg.contexts.user.tests.device import Device
from torg.contexts.user.tests.house import GOOD, ISSUER, House
from torg.contexts.user.tests.test_factors import set_up
from torg.contexts.user.tests.test_leaving import BACK, CHALLENGE, VERIFIER, client, let_in
from torg.contexts.user.tests.test_recovery import NEW, asked_for_reset, token
from torg.kit.auth import Identity
from torg.kit.errors import DomainError, Forbidden, Invalid, TooManyRequests, Unauthenticated

ANNA, THIEF = "anna@example.com", "thief@evil.example"


async def visitor(house: House, email: str = ANNA, confirm: bool = True) -> Identity:
    user = await house.register(email)
    if confirm:
        await house.do(c.ConfirmEmail(token(await house.link_of(user.id, "confirm"))))
    return await house.holder(await house.sign_in(email))


async def add_passkey(house: House, me: Identity, device: Device) -> None:
    asked = await house.do(c.BeginPasskey(holder=me, password=GOOD))
    await house.do(c.AddPasskey(holder=me, ticket=asked.ticket, credential=device.make(asked.options)))


async def comes_by(house: House, device: Device) -> c.Tokens:
    asked = await house.do(c.BeginPasskeySignIn())
    tokens: c.Tokens = await house.do(c.SignInWithPasskey(ticket=asked.ticket, credential=device.show(asked.options)))
    return tokens


# ---------------------------------------------------------------- what was left behind


async def test_whoever_registered_with_somebody_elses_address_has_left_nothing_that_opens_it(house: House) -> None:
    thief, device = await visitor(house, confirm=False), Device(ISSUER)
    await add_passkey(house, thief, device)
    await comes_by(house, device)
    key = await house.do(c.MakeApiKey(holder=thief, name="mine", scopes=("account:read",)))
    program = await client(house)
    granted = await let_in(house, program, thief, "openid offline_access")
    await set_up(house, thief)
    await house.do(c.ResetPassword(token=await asked_for_reset(house, thief.user_id), new_password=NEW))
    with pytest.raises(Unauthenticated):
        await comes_by(house, device)
    assert await house.do(c.Authenticate(key.key)) is None
    assert await house.do(c.Authenticate(granted.access_token)) is None
    anna = await house.holder(await house.sign_in(password=NEW))  # and is asked for no factor of the thief's
    assert (await house.do(c.ListConsents(anna))).items == ()
    assert (await house.do(c.GetFactors(anna))).recovery_codes == 0


async def test_what_its_owner_has_set_up_outlives_a_new_password(house: House) -> None:
    anna, device = await visitor(house), Device(ISSUER)
    await add_passkey(house, anna, device)
    key = await house.do(c.MakeApiKey(holder=anna, name="mine", scopes=("account:read",)))
    await house.do(c.ResetPassword(token=await asked_for_reset(house, anna.user_id), new_password=NEW))
    await comes_by(house, device)
    assert await house.do(c.Authenticate(key.key)) is not None


@pytest.mark.parametrize("by", ["letter", "profile"])
async def test_a_new_password_ends_the_wish_for_another_address(house: House, by: str) -> None:
    anna = await visitor(house)
    await house.do(c.ChangeProfile(holder=anna, email=THIEF))
    wished = token(await house.link_of(anna.user_id, "confirm"))
    if by == "letter":
        await house.do(c.ResetPassword(token=await asked_for_reset(house, anna.user_id), new_password=NEW))
    else:
        await house.do(c.ChangePassword(holder=anna, current_password=GOOD, new_password=NEW))
    with pytest.raises(DomainError, match="unknown, was used before"):
        await house.do(c.ConfirmEmail(wished))
    await house.sign_in(ANNA, NEW)


async def test_a_new_password_leaves_the_letter_that_confirms_the_address_as_it_is(house: House) -> None:
    anna = await visitor(house, confirm=False)
    await house.do(c.ChangePassword(holder=anna, current_password=GOOD, new_password=NEW))
    await house.do(c.ConfirmEmail(token(await house.link_of(anna.user_id, "confirm"))))


async def test_a_link_that_went_to_an_address_of_before_sets_no_password(house: House) -> None:
    anna = await visitor(house)
    old = await asked_for_reset(house, anna.user_id)
    await house.do(c.ChangeProfile(holder=anna, email="anna@new.example"))
    await house.do(c.ConfirmEmail(token(await house.link_of(anna.user_id, "confirm"))))
    with pytest.raises(DomainError, match="unknown, was used before"):
        await house.do(c.ResetPassword(token=old, new_password=NEW))
    await house.sign_in("anna@new.example")


async def test_a_provider_outside_that_was_linked_before_a_new_password_came_by_letter_wants_it_once_more(house: House) -> None:
    anna = await visitor(house)
    async with house.deps.transaction() as tx:
        await house.deps.users.link_outside(tx, "https://id.example", "thief", anna.user_id)
    await house.do(c.ResetPassword(token=await asked_for_reset(house, anna.user_id), new_password=NEW))
    assert await house.deps.users.find_outside("https://id.example", "thief") is None


# ---------------------------------------------------------------- addresses that only look the same


@pytest.mark.parametrize(("hers", "his"), [("anna@masse.example", "anna@maße.example"), ("kira@example.com", "ｋira@example.com")])
async def test_an_address_that_letters_go_elsewhere_by_is_another_one(house: House, hers: str, his: str) -> None:
    anna = await visitor(house, hers)
    profile = await house.do(c.ChangeProfile(holder=anna, email=his))
    assert (profile.email, profile.new_email) == (hers, his)
    assert (await house.link_of(anna.user_id, "confirm")).to == his
    house.clock.advance(minutes=11)
    with pytest.raises(Forbidden):
        await house.do(c.ChangeProfile(holder=await house.holder(await stale(house, anna)), email=his))


async def stale(house: House, anna: Identity) -> c.Tokens:
    session = await house.deps.sessions.find(anna.session_id)
    assert session is not None
    tokens = await house.sign_in((await house.do(c.GetProfile(anna))).email)
    opened = await house.holder(tokens)
    async with house.deps.transaction() as tx:
        await house.deps.sessions.prove(tx, opened.session_id, "pwd", house.clock() - timedelta(minutes=11))
    return tokens


# ---------------------------------------------------------------- what is under way


async def test_who_changes_the_password_again_and_again_does_not_undo_its_owners(house: House) -> None:
    thief = await visitor(house)
    passwords, going, go = house.deps.passwords, asyncio.Event(), asyncio.Event()

    class Slow:
        """Hashes once it is told to."""

        def __getattr__(self, name: str) -> Any:
            return getattr(passwords, name)

        async def hash(self, password: str) -> str:
            going.set()
            await go.wait()
            return await passwords.hash(password)

    beside = House(replace(house.deps, passwords=Slow()), house.clock)
    changing = asyncio.create_task(beside.do(c.ChangePassword(holder=thief, current_password=GOOD, new_password="Thiefs-own-1234")))
    await going.wait()
    await house.do(c.ResetPassword(token=await asked_for_reset(house, thief.user_id), new_password=NEW))
    go.set()
    with pytest.raises(Invalid):
        await changing
    await house.sign_in(password=NEW)


async def code_for(house: House, program: c.NewClient, who: Identity) -> str:
    asked = c.Authorization(
        client_id=program.id, redirect_uri=BACK, response_type="code", scope="openid offline_access", code_challenge=CHALLENGE, code_challenge_method="S256"
    )
    sent = await house.do(c.AnswerAuthorization(asked=asked, holder=who, allowed=True))
    return str(sent.where.partition("code=")[2].partition("&")[0])


@pytest.mark.parametrize("ending", ["a new password", "taken back", "signed out everywhere"])
async def test_a_code_that_was_not_exchanged_yet_ends_with_what_it_was_given_by(house: House, ending: str) -> None:
    anna, program = await visitor(house), await client(house)
    code = await code_for(house, program, anna)
    if ending == "a new password":
        await house.do(c.ResetPassword(token=await asked_for_reset(house, anna.user_id), new_password=NEW))
    elif ending == "taken back":
        await house.do(c.WithdrawConsent(holder=anna, client_id=program.id))
    else:
        await house.do(c.SignOutEverywhere(anna))
    exchange = {"client_id": program.id, "client_secret": program.client_secret, "redirect_uri": BACK, "code_verifier": VERIFIER}
    with pytest.raises(DomainError, match=r"taken it back|signed out"):
        await house.do(c.ExchangeToken(grant_type="authorization_code", code=code, **exchange))


async def test_an_app_that_was_begun_with_and_left_is_no_riddle_for_ever(house: House) -> None:
    anna = await visitor(house)
    begun = await house.do(c.BeginTotp(holder=anna, password=GOOD))
    house.clock.advance(minutes=11)
    right = factors.code_at(_secret(begun.secret), int(house.clock().timestamp()) // factors.STEP)
    with pytest.raises(DomainError) as refused:
        await house.do(c.ConfirmTotp(holder=anna, code=right))
    assert refused.value.code == "factor.not_begun"


def _secret(shown: str) -> bytes:
    return base64.b32decode(shown + "=" * (-len(shown) % 8))


# ---------------------------------------------------------------- bounds that are gone round


async def test_who_types_anothers_key_for_an_address_locks_nobody_out(house: House) -> None:
    """Failures are counted by names that are made of what was typed: nothing that is typed is another's name."""
    anna, boris = await visitor(house), await visitor(house, "boris@example.com")
    for typed in (f"{ANNA} 10.0.0.1", f"sign-in 10.0.0.1 {ANNA}", f"10.0.0.1 {ANNA}", f"password/{boris.user_id}", f"factor {boris.user_id} 10.0.0.1"):
        for number in range(attempts.FREE_ACCOUNT_FAILURES + 10):
            with pytest.raises((Unauthenticated, TooManyRequests)):
                await house.sign_in(typed, address=f"10.9.{number}.1")
        for number in range(links.FREE_LETTERS_FROM_ANYWHERE + 10):
            try:
                await house.do(c.RequestReset(email=typed, address=f"10.9.{number}.1"))
            except TooManyRequests:
                continue
    await house.sign_in(address="10.0.0.1")
    await house.do(c.RequestReset(email=ANNA, address="10.0.0.1"))
    await house.do(c.ProveAgain(holder=boris, password=GOOD))
    assert anna


async def test_rotating_one_key_again_and_again_makes_no_more_than_may_be(house: House) -> None:
    anna = await visitor(house)
    first = await house.do(c.MakeApiKey(holder=anna, name="mine", scopes=("account:read",)))
    with pytest.raises(DomainError) as refused:
        for _ in range(3 * api_keys.MOST):
            await house.do(c.RotateApiKey(holder=anna, key_id=first.id))
    assert refused.value.code == "api_key.too_many"
    assert len((await house.do(c.ListApiKeys(anna))).items) == 2 * api_keys.MOST


async def test_passkeys_that_were_all_begun_before_are_no_more_than_may_be(house: House) -> None:
    anna = await visitor(house)
    devices = [Device(ISSUER, id=b"passkey-%d" % number) for number in range(passkeys.MOST + 3)]
    begun = [await house.do(c.BeginPasskey(holder=anna, password=GOOD)) for _ in devices]

    async def add(device: Device, asked: c.Challenge) -> None:
        await house.do(c.AddPasskey(holder=anna, ticket=asked.ticket, credential=device.make(asked.options)))

    outcomes = await asyncio.gather(*map(add, devices, begun), return_exceptions=True)
    assert [getattr(outcome, "code", "") for outcome in outcomes].count("passkey.too_many") == 3
    assert len((await house.do(c.ListPasskeys(anna))).items) == passkeys.MOST


# ---------------------------------------------------------------- programs that anybody could be


@pytest.mark.parametrize(("confidential", "back", "settled"), [(True, BACK, True), (False, BACK, True), (False, "http://127.0.0.1/back", False)])
async def test_a_program_that_any_other_on_the_machine_could_be_is_let_in_by_its_person_each_time(
    house: House, confidential: bool, back: str, settled: bool
) -> None:
    anna, program = await visitor(house), await client(house, confidential=confidential, redirect_uris=(back,))
    asked = c.Authorization(
        client_id=program.id, redirect_uri=back.replace("127.0.0.1", "127.0.0.1:4711"), response_type="code", scope="openid", code_challenge=CHALLENGE,
        code_challenge_method="S256",
    )  # fmt: skip
    await house.do(c.AnswerAuthorization(asked=asked, holder=anna, allowed=True))
    assert (await house.do(c.CheckAuthorization(asked, anna))).settled is settled
    silent = await house.do(c.CheckAuthorization(msgspec.structs.replace(asked, prompt="none"), anna))
    assert ("error=consent_required" in silent.redirect) is not settled
