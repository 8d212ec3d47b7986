"""How deep calls may go, and until when their answers are of use."""

from __future__ import annotations

import time
from typing import Any

import pytest

from torg.kit.calls import LocalCalls
from torg.kit.chain import Chained, TooDeep, chain, within
from torg.kit.messages import Query, message


@message("second.ask")
class AskSecond(Query[str], frozen=True): ...


@message("third.ask")
class AskThird(Query[str], frozen=True): ...


def shop() -> LocalCalls:
    """The second context asks the third one for its answer."""
    handlers: dict[Any, Any] = {}
    calls = LocalCalls(handlers)
    second = Chained(calls, "second")

    async def ask_third(_: AskThird) -> str:
        return f"{chain.get().caller} at {chain.get().depth}"

    handlers.update({AskSecond: lambda _: second(AskThird()), AskThird: ask_third})
    return calls


async def test_an_edge_reaches_a_context_behind_a_context():
    assert await Chained(shop(), "web")(AskSecond()) == "second at 2"
    assert await Chained(shop(), "admin", edge=True)(AskSecond()) == "second at 2"


async def test_a_context_that_was_asked_by_a_gateway_or_by_nobody_may_ask_one_more():
    assert await Chained(shop(), "first")(AskThird()) == "first at 2"


async def test_a_chain_of_three_contexts_is_refused():
    with pytest.raises(TooDeep, match="second asks third for AskThird while it answers first"):
        await Chained(shop(), "first")(AskSecond())
    assert chain.get().depth == 0


async def test_what_a_context_asks_itself_makes_no_chain_longer():
    assert await Chained(shop(), "second")(AskSecond()) == "second at 2"


async def test_nobody_has_more_patience_than_who_asked_first():
    with within(5):
        first = chain.get().due
        with within(60):
            assert chain.get().due == first
        with within(1):
            assert chain.get().due < first
    assert chain.get().due == 0
    assert first > time.monotonic()
