"""Replays of purchases: through the public API, the same orders however often they are cut short."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest

from tests.shop import Shop, until
from tests.shop.goods import PASSWORD
from torg.demo.ledger import Acknowledged, Ledger
from torg.demo.opinions import is_reviewed
from torg.demo.purchases import Household, Purchase, PurchaseLine, households
from torg.demo.replay import CannotReplay, Plan, Tally, replay

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]

FIRST = datetime(2017, 1, 1, tzinfo=UTC)
MISSING, BY_THE_POUND = "0000001", 2_000


def _plan(shop: Shop, people: list[Household], prefix: str, count: int = 10) -> Plan:
    """Baskets of two products each; some lines cannot be bought."""
    shelf = [shop.product() for _ in range(4)]
    baskets = [
        Purchase(
            people[number % len(people)].id, f"{prefix}{number}", "1", FIRST + timedelta(minutes=number),
            (PurchaseLine(shelf[number % 4], 1, 100), PurchaseLine(MISSING, 1, 100), PurchaseLine(shelf[(number + 1) % 4], 2, 100),
             PurchaseLine(shelf[(number + 2) % 4], BY_THE_POUND, 1)),
        )
        for number in range(count)
    ]  # fmt: skip
    return Plan(baskets, {one.id: one for one in people}, PASSWORD, f"{prefix} {shop.address}", buyers=4)


def _people(start: int) -> list[Household]:
    """The same person has the same account in every replay: each test has its own."""
    return list(islice(households(), start, start + 3))


async def _begun(file: Path) -> bool:
    return _lines(file) > 0


def _lines(file: Path) -> int:
    return len(file.read_bytes().splitlines()) if file.exists() else 0


async def _play(plan: Plan, shop: Shop, ledger: Ledger) -> Tally:
    tally, said = Tally(), list[str]()
    await replay(plan, shop.address, ledger, tally, said.append, patience=20)
    assert not said, said
    return tally


async def test_baskets_become_orders_deliveries_and_reviews(shop: Shop, tmp_path):
    plan = _plan(shop, _people(0), "told-")
    tally = await _play(plan, shop, Ledger(tmp_path / "ledger"))
    assert (tally.acknowledged, tally.confirmed, tally.delivered) == (10, 10, 8), "of few orders the newest fifth stays open"
    assert not tally.refused
    assert tally.dropped == {"product.not_found": 10, "more than 99 units": 10}
    wrote = {(basket.household_id, basket.lines[0].product_id) for basket in plan.purchases[:8] if is_reviewed(basket.basket_id)}
    assert tally.reviews == len(wrote) > 0


async def test_a_replay_that_is_started_again_orders_nothing_twice(shop: Shop, tmp_path):
    plan = _plan(shop, _people(10), "twice-")
    first = Ledger(tmp_path / "first")
    await _play(plan, shop, first)
    going_on = await _play(plan, shop, Ledger(tmp_path / "first"))
    assert (going_on.acknowledged, going_on.done_before) == (0, 10)
    without_ledger = Ledger(tmp_path / "second")
    again = await _play(plan, shop, without_ledger)
    assert (again.acknowledged, again.repeated) == (10, 10)
    assert {key: told.order_id for key, told in without_ledger.known.items()} == {key: told.order_id for key, told in first.known.items()}


async def test_a_replay_can_be_stopped_at_any_moment(shop: Shop, tmp_path):
    plan = _plan(shop, _people(20), "stop-", 40)
    playing = asyncio.ensure_future(_play(plan, shop, Ledger(tmp_path / "ledger")))
    await until(lambda: _begun(tmp_path / "ledger"), "an order is acknowledged")
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    await asyncio.sleep(3)  # what was on its way when its sender left must not come in between
    rest = await _play(plan, shop, Ledger(tmp_path / "ledger"))
    assert rest.done_before > 0 and rest.done_before + rest.acknowledged == 40


async def test_the_ledger_of_another_shop_is_refused(shop: Shop, tmp_path):
    plan = _plan(shop, _people(30), "other-")
    with Ledger(tmp_path / "ledger") as ledger:
        ledger.add(Acknowledged("replay-other-0", "an-order", plan.purchases[0].household_id, "somebody-else"))
    with pytest.raises(CannotReplay, match="another shop's orders"):
        await _play(plan, shop, Ledger(tmp_path / "ledger"))


async def test_wrong_staff_password_is_told_before_anything_is_ordered(shop: Shop, tmp_path):
    plan = _plan(shop, _people(40), "staff-")
    with pytest.raises(CannotReplay, match=r"courier@torg\.example cannot sign in"):
        await replay(Plan(plan.purchases, plan.households, "not this one", "secret"), shop.address, Ledger(tmp_path / "ledger"), Tally(), print)
