"""A context's desk for operators: its dead letters, lags, and what must stay true in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from torg.kit.bus import BusConsumer, FailedMessage, Failures
from torg.kit.store import Store


@dataclass(frozen=True)
class Invariant:
    """Something that must always hold. `check` gives a sentence for each violation found, none when it holds."""

    name: str
    sentence: str
    check: Callable[[], Awaitable[list[str]]]


class Desk:
    """What an operator can see and do in one context."""

    def __init__(self, context: str, store: Store, failures: Failures) -> None:
        self.context, self.store, self._failures = context, store, failures
        self.consumers: Sequence[BusConsumer] = ()
        self.invariants: Sequence[Invariant] = ()

    async def failed_messages(self, dead: bool | None = None) -> Sequence[FailedMessage]:
        return await self._failures.all(dead)

    async def redrive(self, consumer: str, id: str) -> None:
        """Has a dead letter handled anew. Raises NotFound."""
        await self._failures.redrive(consumer, id)
        for running in self.consumers:
            if running.name == consumer:
                running.look_again()

    async def lags(self) -> dict[str, dict[str, int]]:
        """How many rows each consumer has yet to handle, by source."""
        return {consumer.name: await consumer.lag() for consumer in self.consumers}
