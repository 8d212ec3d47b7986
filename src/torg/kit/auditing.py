"""What must always hold: how a context looks whether it does, a bounded part at each look, and how it says what is wrong, since when, and what mends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

import msgspec

from torg.kit import telemetry
from torg.kit.errors import Unavailable
from torg.kit.log import Log
from torg.kit.messages import Envelope
from torg.kit.portions import portions

T = TypeVar("T")
SHOWN: Final = 20  # violations of an invariant that are told
PORTION: Final = 250  # keys looked at between two breaths of the event loop
KEPT_WRONG: Final = 1000  # keys of a round that are looked at again at once because something was wrong with them

Remedy = Literal[
    "redrive", "saga", "cancel", "move_delivery", "set_price", "refund_charge", "rebuild_stock", "rebuild_balances", "rebuild_order", "rebuild_delivery",
    "rebuild_promo_codes", "rebuild_sessions", "rebuild_search", "rebuild_ratings", "rebuild_reports", "restart", "restore", "ask",
]  # fmt: skip
"""What an operator can do about a violation; which page or command that is, the admin context knows. `ask`: a developer must look."""


class Place(msgspec.Struct, frozen=True):
    """A row of a log. Where only some of it is known (position 0), whoever can read that log fills in the rest."""

    context: str
    stream: str
    version: int = 0
    name: str = ""
    position: int = 0
    at: datetime | None = None


class Beginning(msgspec.Struct, frozen=True):
    """Since when something does not hold: since a row; not before a row (`exact` is False); or, without a row, nobody can tell. `note` says why, or more."""

    row: Place | None = None
    exact: bool = True
    note: str = ""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """Something that does not hold: the sentence with the figures, and what it is about by kind and id ("order", "product", "stream", …). `began` where the
    look itself has told, `remedy` where another one than the invariant's mends it, `key` what whoever traces it finds it by."""

    sentence: str
    about: str = ""
    id: str = ""
    key: str = ""
    began: Beginning | None = None
    remedy: Remedy | None = None


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """A fault as operators are told of it."""

    sentence: str
    about: str
    id: str
    began: Beginning
    remedy: Remedy


class Come(msgspec.Struct, frozen=True):
    """How far the present round through all that is old has come, of how many the last one found (0: this is the first), and how many were completed."""

    seen: int
    whole: int
    rounds: int


class Inspected(msgspec.Struct, frozen=True):
    """What a look at an invariant has found; `seconds`: how long it kept its process busy."""

    name: str
    sentence: str
    violations: tuple[str, ...]
    seconds: float
    details: tuple[Violation, ...] = ()
    come: Come | None = None


@dataclass(frozen=True)
class Invariant:
    """Something that must always hold. `check` gives the faults found, none when it holds; `trace` tells since when one is there, and is asked about few.
    `come` is for those that look at what is old a slice at a time."""

    name: str
    sentence: str
    check: Callable[[], Awaitable[Sequence[Fault]]]
    remedy: Remedy = "ask"
    trace: Callable[[Fault], Awaitable[Beginning]] | None = None
    come: Callable[[], Come] | None = None


def since(row: Envelope, note: str = "") -> Beginning:
    """It does not hold since this row."""
    return Beginning(place_of(row), note=note)


def not_before(row: Envelope | None, why: str) -> Beginning:
    """It held when this row was written; no row says what has happened since. Without one nobody can tell at all."""
    return Beginning(place_of(row), exact=False, note=why) if row else untold(why)


def untold(why: str) -> Beginning:
    """Nobody can tell."""
    return Beginning(None, exact=False, note=why)


def place_of(row: Envelope) -> Place:
    return Place(row.context, row.stream, row.version, row.message.NAME, row.position, row.at)


# ---------------------------------------------------------------- a slice at a time


class Rounds:
    """Looks at everything that is kept under a key: the newest and the next slice of all at each look, round and round, and what was wrong until it is
    mended. So a look costs the same however much there is.

    `keys` gives so many keys behind one, in their order; `look` the faults of some by key; `newest` the keys to look at each time. What is wrong is looked
    at `tries` times with a `pause` (seconds) in between: it may have been in the middle of changing."""

    def __init__(
        self,
        keys: Callable[[str, int], Awaitable[Sequence[str]]],
        look: Callable[[Sequence[str]], Awaitable[Mapping[str, Sequence[Fault]]]],
        at_once: int,
        newest: Callable[[], Awaitable[Iterable[str]]] | None = None,
        tries: int = 1,
        pause: float = 0,
    ) -> None:
        self._keys, self._look, self._at_once, self._newest, self._tries, self._pause = keys, look, at_once, newest, tries, pause
        self._after, self._wrong = "", list[str]()
        self._seen = self._whole = self._rounds = 0

    async def check(self) -> list[Fault]:
        some = await self._keys(self._after, self._at_once)
        newest = await self._newest() if self._newest else ()
        found = await self._faults(dict.fromkeys([*self._wrong, *newest, *some]))
        for _ in range(self._tries - 1):
            if not found:
                break
            await asyncio.sleep(self._pause)
            found = await self._faults(found)
        self._wrong = list(found)[:KEPT_WRONG]
        self._seen += len(some)
        if len(some) < self._at_once:
            self._after, self._seen, self._whole, self._rounds = "", 0, self._seen, self._rounds + 1
        else:
            self._after = some[-1]
        return [fault for faults in found.values() for fault in faults]

    def come(self) -> Come:
        return Come(self._seen, self._whole, self._rounds)

    async def _faults(self, keys: Iterable[str]) -> dict[str, Sequence[Fault]]:
        found = dict[str, Sequence[Fault]]()
        for some in portions(keys, PORTION):
            found |= {key: faults for key, faults in (await self._look(some)).items() if faults}
            await asyncio.sleep(0)  # the shop goes first
        return found


class LogRounds:
    """Reads what is new in a log, and its old rows a slice at a time, round and round; what was new in this very look is not read once more. Where more is
    new than one look takes, the oldest of it are left to the round."""

    def __init__(self, log: Log, new: int = 20, old: int = 4, size: int = PORTION) -> None:
        self._log, self._new_portions, self._old_portions, self._size = log, new, old, size
        self._new, self._old = -1, 0
        self._seen = self._whole = self._rounds = 0

    async def portions(self) -> AsyncIterator[Sequence[Envelope]]:
        """Rows that should be looked at now, with a breath of the event loop behind each portion. One that could not be looked at comes again."""
        self._new = max(self._new, await self._log.floor(await self._log.head() + 1, self._new_portions * self._size + 1))
        old_until, new = self._new, 0
        for _ in range(self._new_portions):
            if not (rows := await self._log.tail(self._new, self._size)):
                break
            yield rows
            self._new, new = rows[-1].position, new + len(rows)
            await asyncio.sleep(0)
        for _ in range(self._old_portions):
            rows = [row for row in await self._log.tail(self._old, self._size) if row.position <= old_until]
            if rows:
                yield rows
                self._old, self._seen = rows[-1].position, self._seen + len(rows)
                await asyncio.sleep(0)
            if len(rows) < self._size:
                self._old, self._seen, self._whole, self._rounds = 0, 0, self._seen + new, self._rounds + 1
                break

    def come(self) -> Come:
        return Come(self._seen, self._whole, self._rounds)


# ---------------------------------------------------------------- looking


class Inspector:
    """Looks at a context's invariants. What it has told of the beginning of a fault it remembers for as long as the fault is there."""

    def __init__(self, context: str) -> None:
        self._context = context
        self._traced: dict[str, dict[str, Beginning]] = {}

    async def inspect(self, invariant: Invariant) -> Inspected:
        """One that can't be checked is violated."""
        work = Busy(self._look(invariant))
        found, details = await work
        await asyncio.sleep(0)
        name = invariant.name if "." in invariant.name else f"{self._context}.{invariant.name.replace(' ', '_')}"
        shown = (*(one.sentence for one in details), *([f"and {found - SHOWN} more"] if found > SHOWN else ()))
        return Inspected(name, invariant.sentence, shown, work.seconds, details, invariant.come() if invariant.come else None)

    async def _look(self, invariant: Invariant) -> tuple[int, tuple[Violation, ...]]:
        faults = await _faults(invariant)
        known, told = self._traced.get(invariant.name, {}), list[Violation]()
        for fault in faults[:SHOWN]:
            began = known.get(fault.sentence) or await _traced(invariant, fault)
            told.append(Violation(sentence=fault.sentence, about=fault.about, id=fault.id, began=began, remedy=fault.remedy or invariant.remedy))
        self._traced[invariant.name] = {one.sentence: one.began for one in told if one.began.row}
        return len(faults), tuple(told)


async def _faults(invariant: Invariant) -> Sequence[Fault]:
    try:
        return await invariant.check()
    except Unavailable as away:
        telemetry.log.warning("an invariant cannot be checked now", invariant=invariant.name, reason=away.detail)
        return [_unchecked(away.detail)]
    except Exception as error:  # noqa: BLE001 what can't be checked must not pass for something that holds, nor hide the others
        telemetry.log.error("an invariant could not be checked", invariant=invariant.name, exc_info=error)
        return [_unchecked(f"{type(error).__name__}: {error}")]


def _unchecked(why: str) -> Fault:
    began = untold("nothing was found wrong: it could not be looked at; the process's log has more")
    return Fault(sentence=f"this could not be checked: {why}", began=began, remedy="restart")


async def _traced(invariant: Invariant, fault: Fault) -> Beginning:
    if fault.began:
        return fault.began
    if invariant.trace is None:
        return untold("no log tells of it")
    try:
        return await invariant.trace(fault)
    except Exception as error:  # noqa: BLE001 a violation is told even if nobody can tell since when
        telemetry.log.error("nobody can tell since when an invariant does not hold", invariant=invariant.name, exc_info=error)
        return untold(f"looking for it failed: {type(error).__name__}: {error}")


class Busy(Generator[Any, Any, T]):
    """Awaits a coroutine and counts the seconds for which it kept the event loop busy: what it waited for others is not among them."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work, self.seconds = work, 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        return self

    def send(self, value: Any) -> Any:
        return self._timed(self._work.send, value)

    def throw(self, *error: Any) -> Any:
        return self._timed(self._work.throw, *error)

    def _timed(self, step: Callable[..., Any], *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return step(*arguments)
        finally:
            self.seconds += time.perf_counter() - began
