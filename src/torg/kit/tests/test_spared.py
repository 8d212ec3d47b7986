"""What one can do without: given up soon, and left alone once it has failed again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from torg.kit.chain import chain
from torg.kit.errors import NotFound, Unavailable
from torg.kit.messages import Query, message
from torg.kit.rpc.breaker import FAILURES
from torg.kit.spared import Spared


@message("test.how_is_it")
class HowIsIt(Query[str], frozen=True): ...


class Other:
    """Whoever is asked; `does` is what they do about it."""

    def __init__(self, does: Callable[[], Any]) -> None:
        self.does, self.asked = does, 0

    async def __call__(self, message: Any, /) -> Any:
        self.asked += 1
        reply = self.does()
        return await reply if asyncio.iscoroutine(reply) else reply


def _raises(error: Exception) -> Callable[[], Any]:
    def raise_it() -> Any:
        raise error

    return raise_it


async def test_an_answer_in_time_is_the_answer():
    assert await Spared(Other(lambda: "fine"), 1)(HowIsIt()) == "fine"


async def test_whoever_hangs_is_given_up_and_then_not_even_asked():
    other = Other(lambda: asyncio.sleep(30))
    spared = Spared(other, 0.01)
    for _ in range(FAILURES):
        with pytest.raises(Unavailable, match=r"not answered within 0\.01 s"):
            await spared(HowIsIt())
    with pytest.raises(Unavailable, match="left alone"):
        await spared(HowIsIt())
    assert other.asked == FAILURES


async def test_whoever_is_back_is_asked_again():
    other = Other(_raises(Unavailable("away")))
    spared = Spared(other, 1)
    for _ in range(FAILURES):
        with pytest.raises(Unavailable, match="away"):
            await spared(HowIsIt())
    other.does = lambda: "fine"
    async with asyncio.timeout(20):
        while True:
            try:
                assert await spared(HowIsIt()) == "fine"
                break
            except Unavailable:
                await asyncio.sleep(0.02)
    assert other.asked == FAILURES + 1


async def test_a_refusal_is_an_answer():
    other = Other(_raises(NotFound("product.not_found", "there is none")))
    spared = Spared(other, 1)
    for _ in range(FAILURES + 1):
        with pytest.raises(NotFound):
            await spared(HowIsIt())
    assert other.asked == FAILURES + 1


async def test_a_defect_on_the_other_side_is_not_ours():
    with pytest.raises(Unavailable, match="has failed"):
        await Spared(Other(_raises(ZeroDivisionError("a defect"))), 1)(HowIsIt())


async def test_whoever_is_asked_knows_until_when_an_answer_is_of_use():
    due: list[float] = []
    await Spared(Other(lambda: due.append(chain.get().due)), 5)(HowIsIt())
    assert due[0] - time.monotonic() <= 5


async def test_whoever_goes_away_before_the_answer_says_nothing_about_the_other_side():
    other = Other(lambda: asyncio.sleep(30))
    spared = Spared(other, 30)
    for _ in range(FAILURES + 1):
        asking = asyncio.ensure_future(spared(HowIsIt()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert other.asked == FAILURES + 1
