"""What a game day came to: its faults, and the figures that are drawn from what those outside wrote down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.chaos.record import Asked, Record
from tests.chaos.shop import Held

RECOVERS_WITHIN = 5.0  # seconds, after one process was killed
FAILS_AT_MOST = 0.001  # of the day's requests, for each kill
BACK_WITHIN, BACK_TO = 30.0, 0.95  # seconds after the last fault until throughput is back to so much of what it was
WINDOW = 10.0  # seconds over which throughput is taken
KILLS = ("kill", "failpoint")


@dataclass(frozen=True)
class Fault:
    """What was done. Seconds of the day: it `began`, and `over` is from when on the shop could recover (of a kill its beginning). Seconds since then: until all
    processes were `ready`, until an order asked for afterwards was `ordered`, and until one was `confirmed`. `requests` ended in its time, `failed` of them did
    not end well. `missed`: nobody met it."""

    sort: str
    what: str
    began: float
    over: float
    ready: float = 0.0
    ordered: float = 0.0
    confirmed: float = 0.0
    requests: int = 0
    failed: int = 0
    missed: bool = False

    @property
    def recovered(self) -> float:
        """Seconds until all was there again and orders were taken."""
        return max(self.ready, self.ordered)

    @property
    def ended(self) -> float:
        return self.over + max(self.recovered, self.confirmed)


@dataclass(frozen=True)
class Second:
    """What was answered, failed and ordered in a second of the day."""

    at: int
    answered: int
    failed: int
    ordered: int


@dataclass(frozen=True)
class Aim:
    """A figure and what it should be."""

    name: str
    is_: str
    should_be: str
    met: bool
    note: str = ""


@dataclass
class Day:
    """What came of it. `before` and `after` are windows of the day in which nothing was done to the shop."""

    topology: str
    engines: str
    seed: int
    began: float = 0.0
    faults: list[Fault] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: list[Second] = field(default_factory=list)
    orders: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    complaints: Counter[str] = field(default_factory=Counter)
    held: dict[str, tuple[Held, Held]] = field(default_factory=dict)
    backups: list[float] = field(default_factory=list)
    releases: int = 0
    requests: int = 0
    failed: int = 0
    acknowledged: int = 0
    settled_after: float = 0.0
    before: tuple[float, float] = (0.0, 0.0)
    after: tuple[float, float] = (0.0, 0.0)
    answers: list[float] = field(default_factory=list)
    """When each good answer came, in seconds of the day."""

    def take(self, record: Record) -> None:
        """Draws the figures from what was written down."""
        self.requests, self.failed = len(record.asked), sum(asked.failed for asked in record.asked)
        self.acknowledged = len({promise.order_id for promise in record.promises})
        self.answers = sorted(asked.at + asked.seconds - self.began for asked in record.asked if not asked.failed)
        self.seconds = list(self._seconds(record))
        self.faults = [self._with_requests(fault, record.asked) for fault in self.faults]

    def _seconds(self, record: Record) -> Iterator[Second]:
        answered, failed = Counter[int](), Counter[int]()
        for asked in record.asked:
            (failed if asked.failed else answered)[int(asked.at + asked.seconds - self.began)] += 1
        ordered = Counter(int(promise.told - self.began) for promise in record.promises)
        for at in range(max((*answered, *failed), default=0) + 1):
            yield Second(at, answered[at], failed[at], ordered[at])

    def _with_requests(self, fault: Fault, asked: Sequence[Asked]) -> Fault:
        """Those that ended while it lasted, or the shop recovered."""
        own = [each for each in asked if fault.began <= each.at + each.seconds - self.began <= fault.ended + 1]
        return Fault(
            fault.sort,
            fault.what,
            fault.began,
            fault.over,
            fault.ready,
            fault.ordered,
            fault.confirmed,
            len(own),
            sum(each.failed for each in own),
            fault.missed,
        )

    # ---------------------------------------------------------------- figures

    @property
    def struck(self) -> list[Fault]:
        return [fault for fault in self.faults if not fault.missed]

    def rate(self, since: float, until: float) -> float:
        """Good answers a second."""
        return sum(since <= at < until for at in self.answers) / max(until - since, 0.001)

    @property
    def usual(self) -> float:
        """Good answers a second before the first fault."""
        return self.rate(*self.before)

    def back_after(self) -> float | None:
        """Seconds after the last fault until throughput was what it had been, if it was."""
        since, until = self.after
        while since + WINDOW <= until:
            if self.rate(since, since + WINDOW) >= BACK_TO * self.usual:
                return since - self.after[0]
            since += 1
        return None

    def of(self, *sorts: str) -> list[Fault]:
        return [fault for fault in self.struck if fault.sort in sorts]

    def shares(self, *sorts: str) -> list[float]:
        """Of the day's requests, those that failed for each of these faults."""
        return [fault.failed / max(self.requests, 1) for fault in self.of(*sorts)]

    def aims(self) -> list[Aim]:
        """What was asked of it, and what it came to. A day on which nothing was killed says nothing of kills."""
        back = self.back_after()
        return [
            Aim("acknowledged orders lost", str(self.orders["lost"]), "0", not self.orders["lost"]),
            Aim("double charges", str(self.orders["charged twice"]), "0", not self.orders["charged twice"]),
            *(self._kills() if self.of(*KILLS) else ()),
            Aim(
                "throughput back to 95 %", "not within the time" if back is None else f"after {back:.0f} s", f"{BACK_WITHIN:.0f} s",
                back is not None and back <= BACK_WITHIN,
            ),
            Aim("things that are wrong", str(len(self.wrong)), "0", not self.wrong),
        ]  # fmt: skip

    def _kills(self) -> Sequence[Aim]:
        slowest, shares = max(fault.recovered for fault in self.of(*KILLS)), self.shares(*KILLS)
        mean = sum(shares) / len(shares)
        return (
            Aim("recovery after a kill, at most", f"{slowest:.1f} s", f"{RECOVERS_WITHIN:.0f} s", slowest <= RECOVERS_WITHIN),
            Aim("requests failed a kill", f"{100 * mean:.3f} %", f"{100 * FAILS_AT_MOST:.1f} %", mean <= FAILS_AT_MOST, f"; {100 * max(shares):.3f} % at most"),
        )

    def lines(self) -> list[str]:
        """For a terminal, or a log."""
        told = Counter(fault.sort for fault in self.struck)
        orders = ", ".join(f"{count} {name}" for name, count in sorted(self.orders.items()) if name not in ("lost", "invariants", "charged", "charged twice"))
        return [
            f"faults                 {len(self.struck)}: {', '.join(f'{count} {sort}' for sort, count in told.most_common())}",
            f"requests               {self.requests}, {self.failed} failed or were not answered ({100 * self.failed / max(self.requests, 1):.2f} %)",
            f"orders acknowledged    {self.acknowledged}; at the end {orders}",
            f"charged by card        {self.orders['charged']} orders",
            f"recovery after a kill  {_recovery(self.of(*KILLS))}",
            f"recovery after others  {_recovery([fault for fault in self.struck if fault.sort not in KILLS])}",
            f"good answers a second  {self.usual:.0f} before the first fault, {self.rate(*self.after):.0f} after the last one",
            f"all sagas had ended    {self.settled_after:.1f} s after everybody went home",
            f"backups                {len(self.backups)} made, {_middle(self.backups)}; {self.releases} releases rolled out",
            f"invariants             {self.orders['invariants']} looked at",
            *(f"aim                    {'met   ' if aim.met else 'MISSED'} {aim.name}: {aim.is_} (aim: {aim.should_be}{aim.note})" for aim in self.aims()),
            *(f"WRONG: {sentence}" for sentence in self.wrong[:50]),
            f"{len(self.wrong)} things are wrong" if self.wrong else "nothing is wrong",
        ]  # fmt: skip


def _recovery(faults: Sequence[Fault]) -> str:
    return f"{_middle([fault.recovered for fault in faults])}; until an order went all the way {_middle([fault.confirmed for fault in faults])}"


def _middle(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} s (half of the times), {max(seconds):.1f} s at most" if seconds else "none"
