"""The parts of a replay that need no shop."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from torg.demo.ledger import Acknowledged, Ledger
from torg.demo.opinions import opinion
from torg.demo.replay import CannotReplay, Plan, Tally, replay
from torg.demo.shop import Refused, Shop, ShopAway
from torg.kit.testing.served import Asgi, serving
from torg.kit.testing.waiting import until

ANNA = Acknowledged("replay-1", "order-1", "household-1", "user-1")
BORIS = Acknowledged("replay-2", "order-2", "household-2", "user-2")


def _answering(*statuses: int) -> Asgi:
    """An application that answers with these statuses, one after the other, and then with the last."""
    left = list(statuses)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        status = left.pop(0) if len(left) > 1 else left[0]
        body = b'{"id": 7}' if status < 400 else b'{"code": "cart.empty", "detail": "the cart is empty"}'
        await send({"type": "http.response.start", "status": status, "headers": [(b"retry-after", b"0"), (b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    return answer


def test_ledger_goes_on_behind_a_line_that_was_cut_off(tmp_path):
    file = tmp_path / "ledger"
    with Ledger(file) as ledger:
        ledger.add(ANNA)
    with file.open("ab") as torn:
        torn.write(b'{"key": "replay-2", "ord')
    with Ledger(file) as ledger:
        assert ledger.known == {"replay-1": ANNA}
        ledger.add(BORIS)
        ledger.add(BORIS)
    assert list(Ledger(file).known.values()) == [ANNA, BORIS]
    assert len(file.read_bytes().splitlines()) == 2


async def test_ledger_syncs_what_was_added_within_a_moment(tmp_path):
    with Ledger(tmp_path / "ledger") as ledger:
        flushing = asyncio.create_task(ledger.keep_flushing())
        ledger.add(ANNA)
        await until(lambda: b"order-1" in (tmp_path / "ledger").read_bytes())
        flushing.cancel()
        await asyncio.gather(flushing, return_exceptions=True)


def test_opinions_are_the_same_every_time_and_mostly_good():
    views = [opinion(str(product), str(household), "Moscow") for product in range(60) for household in range(20)]
    assert views == [opinion(str(product), str(household), "Moscow") for product in range(60) for household in range(20)]
    ratings = Counter(view.rating for view in views)
    assert set(ratings) == {1, 2, 3, 4, 5}
    assert ratings[5] > ratings[4] > ratings[1]
    assert all(view.title and len(view.text) > 20 for view in views)


def test_one_product_pleases_more_than_another():
    averages = sorted(sum(opinion(str(product), str(one), "Kazan").rating for one in range(50)) / 50 for product in range(40))
    assert averages[0] < 3 and averages[-1] > 4.5


async def test_shop_that_is_busy_is_asked_again():
    async with serving() as (address, answers):
        answers(_answering(503, 503, 200))
        async with Shop(address, 5, print) as shop:
            assert (await shop.ask("GET", "/anything")).body == {"id": 7}


async def test_shop_that_is_away_is_waited_for_and_told_of_once():
    said = list[str]()
    async with serving() as (address, answers):
        answers(_answering(200))
    async with Shop(address, 0.5, said.append) as shop:
        assert not await shop.answers()
        with pytest.raises(ShopAway, match=r"has not answered for"):
            await shop.ask("GET", "/anything")
    assert len(said) == 1 and "does not answer" in said[0]


async def test_refusal_carries_its_code():
    async with serving() as (address, answers):
        answers(_answering(409))
        async with Shop(address, 5, print) as shop:
            with pytest.raises(Refused) as refusal:
                await shop.ask("POST", "/orders", {})
    assert (refusal.value.status, refusal.value.code) == (409, "cart.empty")


async def test_replay_against_nobody_says_how_to_open_the_shop(tmp_path):
    with pytest.raises(CannotReplay, match=r"start the shop with \./torg up"):
        await replay(Plan([], {}, "", ""), "http://127.0.0.1:9", Ledger(tmp_path / "ledger"), Tally(), print)
