"""What is good once, asked for many times at the same moment: one gets it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.model.factors import STEP
from torg.contexts.user.tests.device import Device
from torg.contexts.user.tests.house import GOOD, ISSUER, House, open_house
from torg.contexts.user.tests.test_factors import set_up, ticket
from torg.contexts.user.tests.test_hijacking import add_passkey, code_for, visitor
from torg.contexts.user.tests.test_leaving import BACK, VERIFIER, client, let_in
from torg.contexts.user.tests.test_recovery import asked_for_reset, token
from torg.kit.errors import DomainError
from torg.kit.messages import Message

pytestmark = pytest.mark.race
AT_ONCE = 8


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def all_at_once(asked: Sequence[Awaitable[Any]]) -> list[Any]:
    """What those got who got something; all others were refused."""
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException) and not isinstance(outcome, DomainError)] == []
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


async def many(house: House, message: Message) -> list[Any]:
    return await all_at_once([house.do(message) for _ in range(AT_ONCE)])


async def test_one_refresh_token_renews_a_session_once_and_then_nobody_has_it(house: House) -> None:
    await visitor(house)
    tokens = await house.sign_in()
    given = await many(house, c.RefreshSession(tokens.refresh_token))
    assert len(given) <= 1
    assert [await house.do(c.Authenticate(one.access_token)) for one in (tokens, *given)] == [None] * (1 + len(given)), "somebody had a copy"


async def test_one_link_sets_one_password(house: House) -> None:
    anna = await visitor(house)
    link = await asked_for_reset(house, anna.user_id)
    given = await all_at_once([house.do(c.ResetPassword(token=link, new_password=f"Another-{number}-9876")) for number in range(AT_ONCE)])
    assert len(given) == 1
    assert len(await all_at_once([house.sign_in(password=f"Another-{number}-9876") for number in range(AT_ONCE)])) == 1


async def test_one_link_confirms_once(house: House) -> None:
    anna = await visitor(house, confirm=False)
    assert len(await many(house, c.ConfirmEmail(token(await house.link_of(anna.user_id, "confirm"))))) == 1


async def test_one_code_of_an_app_and_one_recovery_code_open_one_session_each(house: House) -> None:
    app, codes = await set_up(house, await visitor(house))
    house.clock.advance(seconds=2 * STEP)
    for code in (app.code(), codes[0]):
        tickets = [await ticket(house) for _ in range(4)]
        assert len(await all_at_once([house.do(c.GiveCode(ticket=one, code=code, address="10.0.0.1")) for one in tickets])) == 1


async def test_one_answer_of_a_device_opens_one_session(house: House) -> None:
    anna, device = await visitor(house), Device(ISSUER)
    await add_passkey(house, anna, device)
    asked = await house.do(c.BeginPasskeySignIn())
    assert len(await many(house, c.SignInWithPasskey(ticket=asked.ticket, credential=device.show(asked.options)))) == 1


async def test_one_code_of_a_program_is_exchanged_once_and_then_for_nothing(house: House) -> None:
    anna, program = await visitor(house), await client(house)
    exchange = {"client_id": program.id, "client_secret": program.client_secret}
    code = await code_for(house, program, anna)
    given = await many(house, c.ExchangeToken(grant_type="authorization_code", code=code, redirect_uri=BACK, code_verifier=VERIFIER, **exchange))
    assert len(given) == 1
    assert await house.do(c.Authenticate(given[0].access_token)) is None, "a second time ends what the first was exchanged for"
    tokens = await let_in(house, program, anna, "openid offline_access")
    renewed = await many(house, c.ExchangeToken(grant_type="refresh_token", refresh_token=tokens.refresh_token, **exchange))
    assert len(renewed) <= 1
    assert [await house.do(c.Authenticate(one.access_token)) for one in (tokens, *renewed)] == [None] * (1 + len(renewed))


async def test_one_password_is_changed_by_one_of_those_who_know_it(house: House) -> None:
    anna = await visitor(house)
    changes = [c.ChangePassword(holder=anna, current_password=GOOD, new_password=f"Another-{number}-9876") for number in range(AT_ONCE)]
    assert len(await all_at_once([house.do(change) for change in changes])) == 1
    assert len(await all_at_once([house.sign_in(password=change.new_password) for change in changes])) == 1
