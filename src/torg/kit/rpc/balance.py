"""Which instance of a context is asked: of two drawn at random the one with less to do (Mitzenmacher, "The Power of Two Choices"). Broken ones are passed over,
those that do much worse than their peers are left out for a while, and new ones get their share little by little."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Final

from torg.kit.rpc.breaker import Breaker
from torg.kit.rpc.metrics import LEFT_OUT, OPEN

WARM: Final = 10.0  # seconds after which a new instance gets as much as the others
LEAST: Final = 0.1  # of its share, at first
LOOK: Final = 5.0  # seconds between two looks at who does worse
ENOUGH: Final = 20  # answers since the last look, without which nothing is told from them
WORSE: Final = 0.3  # so much more of its answers are failures
AT_ALL: Final = 20  # failures in a row, of whichever instances, after which the context is left alone
SLOWER, NOTICED = 4.0, 0.05  # so many times as long it takes, and so many seconds longer
FIRST_REST, LONGEST_REST = 5.0, 60.0  # seconds


class Instance:
    """An address, what it has to do for this process, and whether it can be relied on. `since`: when it is first heard of; `all_of_them`: the breaker of
    the context's instances together."""

    __slots__ = ("_all", "_answers", "_failures", "_open", "_out", "_seconds", "address", "breaker", "load", "rest", "since", "until")

    def __init__(self, context: str, address: str, since: float, now: Callable[[], float], all_of_them: Breaker) -> None:
        self.address, self.load, self.breaker, self.since, self._all = address, 0, Breaker(now), since, all_of_them
        self.until, self.rest = 0.0, FIRST_REST
        self._answers, self._failures, self._seconds = 0, 0, 0.0
        self._open, self._out = OPEN.labels(context, address), LEFT_OUT.labels(context, address)

    def succeeded(self, seconds: float | None = None, well: bool = True) -> None:
        """It has answered, after so long; None where that says nothing. `well`: and not to say that it can't."""
        if self.breaker.state != "closed":
            self._open.set(0)
        self.breaker.succeeded()
        self._all.succeeded()
        if seconds is not None:
            self._answers += 1
            self._failures += not well
            self._seconds += seconds

    def failed(self) -> None:
        self.breaker.failed()
        self._all.failed()
        self._answers += 1
        self._failures += 1
        self._open.set(self.breaker.state != "closed")

    def gave_up(self) -> None:
        """Whoever asked it has gone before the answer."""
        self.breaker.gave_up()
        self._all.gave_up()

    def looked_at(self) -> tuple[float, float] | None:
        """The share of failures and the mean time of what was answered since the last look; None where that is too little to tell."""
        told = (self._failures / self._answers, self._seconds / max(self._answers - self._failures, 1)) if self._answers >= ENOUGH else None
        self._answers, self._failures, self._seconds = 0, 0, 0.0
        return told

    def leave_out(self, now: float) -> None:
        """For longer each time, until it has done as well as the others again."""
        self.until = now + self.rest
        self.rest = min(self.rest * 2, LONGEST_REST)
        self._out.set(1)

    def take_back(self) -> None:
        self.until = 0.0
        self._out.set(0)


class _Instances:
    """Of one context, as discovery named them last."""

    __slots__ = ("addresses", "all", "breaker", "looked")

    def __init__(self, now: Callable[[], float]) -> None:
        self.addresses: Sequence[str] = ()
        self.all: list[Instance] = []
        self.breaker, self.looked = Breaker(now, failures=AT_ALL), now()


class Balance:
    """Remembers the instances of contexts; forgets those that discovery no longer names."""

    def __init__(self, random: Random, now: Callable[[], float] | None = None) -> None:
        self._random, self._now = random, now or time.monotonic
        self._known: dict[str, _Instances] = {}

    def choose(self, context: str, addresses: Sequence[str], tried: Collection[str] = ()) -> Instance | None:
        """One that takes a request now, rather not one of those that were tried; None when all are broken, or whoever was asked of late has failed."""
        instances = self._instances(context, addresses)
        known = instances.all
        if len(known) == 1:
            return known[0] if known[0].breaker.take() else None
        if not instances.breaker.take():
            return None
        now = self._now()
        self._look(instances, now)
        fresh = [instance for instance in known if instance.address not in tried and not instance.until] or known
        drawn = self._random.sample(fresh, min(2, len(fresh)))
        warm = [instance for instance in drawn if now - instance.since >= WARM or self._random.random() < _share(now - instance.since)]
        ordered = [*sorted(warm or drawn, key=_load), *sorted((instance for instance in known if instance not in (warm or drawn)), key=_out)]
        found = next((instance for instance in ordered if instance.breaker.take()), None)
        if found is None:
            instances.breaker.gave_up()
        return found

    def all(self, context: str, addresses: Sequence[str]) -> list[Instance]:
        return self._instances(context, addresses).all

    def _instances(self, context: str, addresses: Sequence[str]) -> _Instances:
        """An instance for each address. Those that were there at the start are no newer than each other."""
        instances = self._known.get(context) or self._known.setdefault(context, _Instances(self._now))
        if instances.addresses != addresses:
            kept, since = {instance.address: instance for instance in instances.all}, self._now() if instances.all else -WARM
            instances.all = [kept.get(address) or Instance(context, address, since, self._now, instances.breaker) for address in addresses]
            instances.addresses = addresses
        return instances

    def _look(self, instances: _Instances, now: float) -> None:
        """Takes back whose time is over and, now and then, leaves out who does much worse than the others: never more than half of them."""
        known = instances.all
        for instance in known:
            if instance.until and now >= instance.until:
                instance.take_back()
        if now - instances.looked < LOOK:
            return
        instances.looked = now
        told = [(instance, *found) for instance in known if (found := instance.looked_at()) is not None]
        may = len(known) // 2 - sum(1 for instance in known if instance.until)
        for instance, failures, seconds in sorted(told, key=lambda one: one[1:], reverse=True):
            others = [one for one in told if one[0] is not instance]
            if not others or instance.until:
                continue
            usual, time_taken = statistics.median(one[1] for one in others), statistics.median(one[2] for one in others)
            if failures <= usual + WORSE and seconds <= max(time_taken * SLOWER, time_taken + NOTICED):
                instance.rest = FIRST_REST
            elif may > 0:
                instance.leave_out(now)
                may -= 1


def _share(age: float) -> float:
    return max(LEAST, age / WARM)


def _load(instance: Instance) -> int:
    return instance.load


def _out(instance: Instance) -> float:
    return instance.until
