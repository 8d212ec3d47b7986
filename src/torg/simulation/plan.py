"""What a run is made of, drawn from its seed before it begins: errands of people, and faults. Data, so that it can be shown, and cut down."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, Final, Literal

import msgspec

from torg.kit.failpoints import NAMES

PEOPLE, PRODUCTS = 48, 24
SCARCE: Final = 2  # of the products, of which there are a few units
UNITS, FEW = 500, 5
POCKET, SMALL_CHANGE = 2_000_000, 9_000  # minor units
POOR: Final = 4  # of the people, who have but small change
CURRENCY: Final = "USD"
CODE, CODES = "THRICE", 3
"""A promo code, and how often it can be used."""
TOP_UP: Final = 777  # minor units
COME, BREAK = 8.0, 24.0  # seconds for which people come, and for which things break: while parcels are under way, and some come back
CARRIED: Final = 4.0  # seconds that a parcel takes from one place to the next

Kind = Literal["order", "double", "tabs", "changed", "edited", "top_up", "price", "correct", "purchase", "carry", "moderate"]
What = Literal[
    "kill", "kill_at_failpoint", "kill_as_it_starts", "forget_positions", "pause", "cut", "cut_one_way", "slow", "reset",
    "disk_full", "disk_fails", "disk_slow", "clock", "poison", "acquirer",
]  # fmt: skip
Then = Literal["", "cancel", "return", "review"]
METHODS = (("balance", 6), ("cash", 3), ("card", 3))
CARDS = (("success", 6), ("refusal", 1), ("confirmation", 1), ("late", 1), ("silent", 1), ("gives up", 1), ("leaves", 1))
KINDS: tuple[tuple[Kind, int], ...] = (
    ("order", 30),
    ("double", 3),
    ("tabs", 4),
    ("changed", 2),
    ("edited", 3),
    ("top_up", 2),
    ("price", 2),
    ("correct", 2),
    ("purchase", 1),
    ("carry", 2),
    ("moderate", 1),
)
STAFF: Final = ("price", "correct", "purchase", "carry", "moderate")
THENS: tuple[tuple[Then, int], ...] = (("", 8), ("cancel", 2), ("return", 1), ("review", 1))  # fmt: skip
WHATS: tuple[tuple[What, int], ...] = (
    ("kill", 5), ("kill_at_failpoint", 8), ("kill_as_it_starts", 2), ("forget_positions", 1), ("pause", 3), ("cut", 2),
    ("cut_one_way", 2), ("slow", 2), ("reset", 4), ("disk_full", 1), ("disk_fails", 2), ("disk_slow", 1), ("clock", 2), ("poison", 3), ("acquirer", 4),
)  # fmt: skip
FAILPOINTS: Final = tuple(name for name in NAMES if name not in ("before publish", "after publish"))  # of the relay to a broker
ACQUIRERS: tuple[dict[str, float | bool], ...] = (
    {"lost_replies": 3}, {"wrong_signatures": 2}, {"lost_webhooks": 3}, {"webhook_before_reply": True}, {"webhooks_twice": True}, {"webhook_delay": 8.0},
    {"slow_replies": 6.0}, {"slow_replies": 20.0}, {"late_seconds": 30.0},
)  # fmt: skip


class Errand(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody does, from second `at` on. `lines` are products, by number, with quantities; `then` what they do `later` seconds after they bought."""

    at: float
    person: int
    kind: Kind
    lines: tuple[tuple[int, int], ...] = ()
    method: str = "balance"
    card: str = "success"
    code: bool = False
    then: Then = ""
    later: float = 0.0
    patient: bool = True


class Fault(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that goes wrong at second `at`, with one process or between two, for so many `seconds`. `amount` says how badly."""

    at: float
    what: What
    where: str
    other: str = ""
    seconds: float = 0.0
    amount: float = 0.0
    settings: dict[str, float | bool] = {}
    failpoint: str = ""


class Plan(msgspec.Struct, frozen=True):
    """A run. In `loopback` everything that contexts tell each other is encoded, decoded and delivered twice."""

    seed: int
    topology: Literal["all", "fleet"]
    errands: tuple[Errand, ...]
    faults: tuple[Fault, ...]
    loopback: bool = False


def draw(seed: int, topology: Literal["all", "fleet"], orders: int, processes: list[str]) -> Plan:
    """A seed's plan. Some runs are quiet, most are not; in some one kind of fault prevails."""
    dice = Random(f"plan {seed}")
    errands = tuple(sorted((_errand(dice) for _ in range(orders)), key=lambda errand: errand.at))
    count = dice.choice((0, 2, 4, 8, 16))
    favourite = _weighted(dice, WHATS) if dice.random() < 0.3 else None
    faults = tuple(sorted((_fault(dice, favourite, processes) for _ in range(count)), key=lambda fault: fault.at))
    return Plan(seed, topology, errands, faults, topology == "all" and seed % 4 == 0)


def _errand(dice: Random) -> Errand:
    kind = _weighted(dice, KINDS)
    some = [_product(dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))]
    return Errand(
        at=round(dice.random() * (BREAK if kind in STAFF else COME), 3), person=dice.randrange(PEOPLE), kind=kind,
        lines=tuple((number, dice.randint(1, 3)) for number in dict.fromkeys(some)), method=_weighted(dice, METHODS), card=_weighted(dice, CARDS),
        code=dice.random() < 0.1, then=_weighted(dice, THENS), later=round(dice.random() ** 3 * 3 * CARRIED, 3),
        patient=dice.random() < 0.8,
    )  # fmt: skip


def _product(dice: Random) -> int:
    """Some are bought more often than others; now and then it is one of those of which there are few."""
    if dice.random() < 0.15:
        return dice.randrange(SCARCE)
    return SCARCE + int((PRODUCTS - SCARCE) * dice.random() ** 2)


def _fault(dice: Random, favourite: What | None, processes: list[str]) -> Fault:
    what = favourite if favourite and dice.random() < 0.8 else _weighted(dice, WHATS)
    where, other = dice.choice(processes), dice.choice([*processes, "outside", "acquirer"])
    if what in ("kill", "pause", "slow") and dice.random() < 0.1:
        where = "acquirer"
    return Fault(
        at=round(dice.random() ** 1.5 * BREAK, 4), what=what, where=where, other=other if other != where else "outside",
        seconds=round(dice.choice((0.2, 1.0, 3.0, 8.0)) * (0.5 + dice.random()), 3), amount=_amount(dice, what),
        settings=dice.choice(ACQUIRERS) if what == "acquirer" else {}, failpoint=dice.choice(FAILPOINTS) if what == "kill_at_failpoint" else "",
    )  # fmt: skip


def _amount(dice: Random, what: What) -> float:
    match what:
        case "reset":
            return round(dice.random(), 2)
        case "slow" | "disk_slow":
            return dice.choice((10.0, 100.0, 1000.0))
        case "kill_as_it_starts":
            return round(dice.random() ** 2 * 0.3, 4)
        case "poison":
            return dice.choice((1.0, 3.0, 6.0))
        case "clock":
            return dice.choice((-3600.0, -60.0, 60.0, 3600.0))
        case _:
            return 0.0


def _weighted(dice: Random, choices: Sequence[tuple[str, int]]) -> Any:
    return dice.choices([name for name, _ in choices], [weight for _, weight in choices])[0]
