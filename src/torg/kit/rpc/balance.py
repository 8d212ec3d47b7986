"""Which instance of a context is asked: of two drawn at random the one with less to do (Mitzenmacher, "The Power of Two Choices"), broken ones passed over."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from random import Random

from torg.kit.rpc.breaker import Breaker
from torg.kit.rpc.metrics import OPEN


class Instance:
    """An address, what it has to do for this process, and whether it can be relied on."""

    __slots__ = ("_open", "address", "breaker", "load")

    def __init__(self, context: str, address: str) -> None:
        self.address, self.load, self.breaker = address, 0, Breaker(time.monotonic)
        self._open = OPEN.labels(context, address)

    def succeeded(self) -> None:
        if self.breaker.state != "closed":
            self._open.set(0)
        self.breaker.succeeded()

    def failed(self) -> None:
        self.breaker.failed()
        self._open.set(self.breaker.state != "closed")


class Balance:
    """Remembers the instances of contexts; forgets those that discovery no longer names."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._known: dict[str, tuple[Sequence[str], list[Instance]]] = {}

    def choose(self, context: str, addresses: Sequence[str], tried: Collection[str] = ()) -> Instance | None:
        """One that takes a request now, rather not one of those that were tried; None when all are broken."""
        known = self.all(context, addresses)
        if len(known) == 1:
            return known[0] if known[0].breaker.take() else None
        fresh = [instance for instance in known if instance.address not in tried] or known
        drawn = self._random.sample(fresh, min(2, len(fresh)))
        ordered = [*sorted(drawn, key=_load), *(instance for instance in known if instance not in drawn)]
        return next((instance for instance in ordered if instance.breaker.take()), None)

    def all(self, context: str, addresses: Sequence[str]) -> list[Instance]:
        """An instance for each address."""
        before, known = self._known.get(context, ((), []))
        if before != addresses:
            kept = {instance.address: instance for instance in known}
            known = [kept.get(address) or Instance(context, address) for address in addresses]
            self._known[context] = addresses, known
        return known


def _load(instance: Instance) -> int:
    return instance.load
