"""Second factors: codes of an app, recovery codes, and staff who lack one."""

from __future__ import annotations

import asyncio
import base64
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.model.factors import STEP, code_at, make_codes, step_of, ticket_of
from torg.contexts.user.tests.house import GOOD, House, open_house
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, Invalid, TooManyRequests, Unauthenticated
from torg.kit.testing import START
from torg.kit.testing.http import ask


def test_codes_are_those_of_the_standard():
    """RFC 6238, appendix B, the last six digits."""
    secret = b"12345678901234567890"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert code_at(secret, seconds // STEP) == code


def test_a_code_is_taken_one_step_early_or_late_and_never_again():
    now, secret = START, b"s" * 20
    step = int(now.timestamp()) // STEP
    assert [step_of(secret, code_at(secret, step + off), now, 0) for off in (-2, -1, 0, 1, 2)] == [None, step - 1, step, step + 1, None]
    assert step_of(secret, code_at(secret, step), now, step) is None
    assert step_of(secret, code_at(secret, step - 1), now, step) is None
    assert step_of(secret, "é", now, 0) is None


class App:
    """What shows codes."""

    def __init__(self, house: House, secret: str) -> None:
        self.house, self.secret = house, base64.b32decode(secret)

    def code(self) -> str:
        self.house.clock.advance(seconds=STEP)
        return code_at(self.secret, int(self.house.clock().timestamp()) // STEP)


async def set_up(house: House, me: Identity) -> tuple[App, tuple[str, ...]]:
    begun = await house.do(c.BeginTotp(holder=me, password=GOOD))
    assert begun.uri.startswith("otpauth://totp/Torg:")
    app = App(house, begun.secret)
    return app, (await house.do(c.ConfirmTotp(holder=me, code=app.code()))).codes


async def ticket(house: House, address: str = "10.0.0.1") -> str:
    with pytest.raises(Unauthenticated) as refused:
        await house.sign_in(address=address)
    assert refused.value.code == "session.second_factor"
    return ticket_of(refused.value)


async def test_signing_in_takes_the_code_after_the_password(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    app, codes = await set_up(house, me)
    assert len(set(codes)) == 10
    given = await ticket(house)
    with pytest.raises(Unauthenticated, match="wrong, too old"):
        await house.do(c.GiveCode(ticket=given, code="000000"))
    code = app.code()
    tokens = await house.do(c.GiveCode(ticket=given, code=code, address="10.0.0.1"))
    assert (await house.holder(tokens)).user_id == me.user_id
    with pytest.raises(Unauthenticated, match="used before"):
        await house.do(c.GiveCode(ticket=given, code=code, address="10.0.0.1"))


async def test_of_one_code_sent_many_times_at_once_one_is_taken(house: House):
    await house.register()
    app, _ = await set_up(house, await house.holder(await house.sign_in()))
    given, code = await ticket(house), app.code()
    came = await asyncio.gather(*(house.do(c.GiveCode(ticket=given, code=code)) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(one, c.Tokens) for one in came) == 1


async def test_a_recovery_code_is_good_once_however_it_is_typed(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    _, codes = await set_up(house, me)
    given = await ticket(house)
    await house.do(c.GiveCode(ticket=given, code=f" {codes[0].upper().replace('-', ' ')} "))
    with pytest.raises(Unauthenticated):
        await house.do(c.GiveCode(ticket=given, code=codes[0]))
    assert (await house.do(c.GetFactors(me))).recovery_codes == 9
    new = (await house.do(c.RenewRecoveryCodes(holder=me, password=GOOD))).codes
    with pytest.raises(Unauthenticated):
        await house.do(c.GiveCode(ticket=given, code=codes[1]))
    await house.do(c.GiveCode(ticket=given, code=new[1]))


def test_recovery_codes_have_more_random_bits_than_anybody_could_try():
    codes = make_codes(lambda size: random.Random(7).randbytes(size))
    assert {len(base64.b32decode(code.replace("-", "").upper())) * 8 for code in codes} == {120}
    assert make_codes(lambda size: b"\xff" * size)[0] == "7777-7777-7777-7777-7777-7777"


async def test_a_ticket_ends_after_five_minutes_and_with_the_password(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    app, _ = await set_up(house, me)
    old = await ticket(house)
    house.clock.advance(minutes=5)
    before = await ticket(house)
    await house.do(c.ChangePassword(holder=me, current_password=GOOD, new_password="Another-9876-and-longer"))
    for bad in (old, before, "made-up", ""):
        with pytest.raises(Unauthenticated, match="sign in with your password again"):
            await house.do(c.GiveCode(ticket=bad, code=app.code()))


async def test_whoever_guesses_codes_waits_and_keeps_nobody_else_out(house: House):
    await house.register()
    app, _ = await set_up(house, await house.holder(await house.sign_in(address="10.0.0.1")))
    given = await ticket(house)
    with pytest.raises(TooManyRequests):
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await house.do(c.GiveCode(ticket=given, code="000000", address="10.6.6.6"))
    await house.do(c.GiveCode(ticket=given, code=app.code(), address="10.0.0.1"))


async def test_secrets_and_codes_are_not_kept_in_clear_and_removing_takes_the_password(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    app, codes = await set_up(house, me)
    database = house.deps.store.database
    kept = str([dict(row) for table in ("totp", "recovery_code") for row in await database.all(f"select * from {table}")])
    assert app.secret.hex() not in kept
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    with pytest.raises(DomainError, match="remove it before"):
        await house.do(c.BeginTotp(holder=me, password=GOOD))
    with pytest.raises(Invalid):
        await house.do(c.RemoveTotp(holder=me, password="wrong-guess-1"))
    await house.do(c.RemoveTotp(holder=me, password=GOOD))
    assert (await house.sign_in()).access_token
    assert await database.all("select * from recovery_code") == []


async def test_a_secret_counts_only_once_its_first_code_was_given(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    with pytest.raises(DomainError, match="set one up first"):
        await house.do(c.ConfirmTotp(holder=me, code="123456"))
    await house.do(c.BeginTotp(holder=me, password=GOOD))
    assert (await house.sign_in()).access_token, "nobody is kept out by what they have not finished"
    with pytest.raises(Invalid):
        await house.do(c.ConfirmTotp(holder=me, code="000000"))


async def test_staff_without_a_factor_are_customers_until_they_have_one(tmp_path: Path):
    async with open_house(tmp_path) as plain:
        store = SqlSessionStore(plain.deps.store.database, plain.clock, staff_factor=True)
        house = House(replace(plain.deps, sessions=store), plain.clock)
        roles = (Role.CUSTOMER, Role.SUPPORT)
        await house.do(c.EnsureUser(email="anna@example.com", password=GOOD, full_name="Anna", roles=roles))
        tokens = await house.sign_in()
        me = await house.holder(tokens)
        assert (me.roles, me.lacks_factor) == (frozenset({Role.CUSTOMER}), True)
        headers: dict[str, Any] = {"authorization": f"Bearer {tokens.access_token}"}
        refused = await ask(house.app, "GET", "/api/v1/admin/users", **headers)
        assert (refused.status, refused.json["code"]) == (403, "factor.required")
        assert (await ask(house.app, "GET", "/api/v1/users/me", **headers)).status == 200
        assert (await house.do(c.GetFactors(me))).missing
        await set_up(house, me)
        assert (await house.holder(tokens)).roles == frozenset(roles)
        assert (await ask(house.app, "GET", "/api/v1/admin/users", **headers)).status == 200
