"""People and staff who do things at the same moment: what is a rule about several rows holds all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.model import accounts
from torg.contexts.user.model.sessions import Session
from torg.contexts.user.tests.house import GOOD, House, open_house
from torg.kit.auth import Role
from torg.kit.errors import DomainError
from torg.kit.store import Transaction
from torg.kit.values import Clock

pytestmark = pytest.mark.race
OTHER = "Another-1234-one"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as house:
        yield house


async def test_two_administrators_who_dismiss_each_other_leave_one(house: House) -> None:
    for _ in range(5):
        staff = [await house.do(c.EnsureUser(email=f"{name}@torg.example", password="", full_name=name, roles=(Role.ADMIN,))) for name in ("anna", "boris")]
        outcomes = await asyncio.gather(*(house.do(c.GrantRoles(user_id=user.id, roles=(Role.CUSTOMER,))) for user in staff), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DomainError", "User"]


async def test_addresses_saved_at_once_keep_their_number_and_one_default(house: House) -> None:
    await house.register()
    me = await house.holder(await house.sign_in())

    def saved(street: int) -> c.AddAddress:
        return c.AddAddress(holder=me, city="Moscow", street=f"Street {street}", postcode="125009")

    await asyncio.gather(*(house.do(saved(street)) for street in range(3)))
    for street in range(3, accounts.ADDRESSES - 1):
        await house.do(saved(street))
    outcomes = await asyncio.gather(*(house.do(saved(street)) for street in range(100, 104)), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AddressView", "DomainError", "DomainError", "DomainError"]
    assert {outcome.code for outcome in outcomes if isinstance(outcome, DomainError)} == {"address.too_many"}
    kept = (await house.do(c.ListAddresses(me))).items
    assert (len(kept), sum(address.is_default for address in kept)) == (accounts.ADDRESSES, 1)


class SlowSessions(SqlSessionStore):
    """Opens a session only once it is told to."""

    def __init__(self, database: Any, clock: Clock) -> None:
        super().__init__(database, clock)
        self.opening, self.go = asyncio.Event(), asyncio.Event()

    async def open(self, tx: Transaction, session: Session) -> None:
        self.opening.set()
        await self.go.wait()
        await super().open(tx, session)


async def test_nobody_stays_in_with_a_password_that_was_changed_as_they_came(house: House) -> None:
    if not house.deps.store.database.shared:
        pytest.skip("here one transaction at a time writes")
    await house.register()
    me = await house.holder(await house.sign_in())
    slow = SlowSessions(house.deps.store.database, house.clock)
    intruder = asyncio.create_task(House(replace(house.deps, sessions=slow), house.clock).sign_in())
    await slow.opening.wait()
    changing = asyncio.create_task(house.do(c.ChangePassword(holder=me, current_password=GOOD, new_password=OTHER)))
    await asyncio.wait({changing}, timeout=0.3)
    slow.go.set()
    tokens, _ = await asyncio.gather(intruder, changing)
    assert await house.do(c.Authenticate(tokens.access_token)) is None
    await house.sign_in(password=OTHER)
