"""Calls: one protocol, local and loopback."""

from __future__ import annotations

import pytest

from torg.kit.calls import LocalCalls, LoopbackCalls
from torg.kit.errors import DomainError, Unavailable
from torg.kit.messages import Message, Registry, reply_type
from torg.kit.tests.messages import REGISTRY, Count, Put, WasPut


async def count(query: Count) -> int:
    return len(query.shelf)


async def test_a_call_reaches_its_handler():
    assert await LocalCalls({Count: count})(Count("abc")) == 3


async def test_a_call_nobody_handles_is_unavailable():
    with pytest.raises(Unavailable, match=r"shelf\.count"):
        await LocalCalls({})(Count("abc"))


async def test_loopback_copies_both_ways_and_asks_queries_twice():
    seen: list[Message] = []

    async def note(message: Message) -> int:
        seen.append(message)
        return 1

    call, asked, told = LoopbackCalls({Count: note, Put: note}), Count("a"), Put("a", 1)
    await call(asked)
    await call(told)
    assert seen == [asked, asked, told]
    assert all(copy is not asked and copy is not told for copy in seen)


async def test_a_refusal_comes_through_loopback_as_it_is():
    async def refuse(_: Count) -> int:
        raise DomainError("shelf.gone", "no such shelf")

    with pytest.raises(DomainError) as refused:
        await LoopbackCalls({Count: refuse})(Count("a"))
    assert refused.value.code == "shelf.gone"


def test_messages_survive_encoding():
    from torg.kit.messages import encode

    assert REGISTRY.decode("shelf.was_put", encode(WasPut("a", 2))) == WasPut("a", 2)
    assert reply_type(Put) is int


def test_two_messages_of_one_name_are_refused():
    import types

    from torg.kit.messages import Event, message

    module = types.ModuleType("torg.kit.tests.twin")

    @message("shelf.was_put")
    class Twin(Event, frozen=True):
        pass

    Twin.__module__ = module.__name__
    module.Twin = Twin  # type: ignore[attr-defined]
    import sys

    with pytest.raises(ValueError, match="two messages are named"):
        Registry([sys.modules["torg.kit.tests.messages"], module])
