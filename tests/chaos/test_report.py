"""What a game day comes to, and the page about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.figures import Day, Fault
from tests.chaos.record import Asked, Promise, Record
from tests.chaos.report import page
from tests.chaos.shop import Held

KILLED = Fault("kill", "order <is> killed", 30.0, 30.0, ready=2.0, ordered=2.5, confirmed=4.0)
NETWORK = Fault("network", "the way to redis is slow for 5 s", 50.0, 55.0, ready=0.1, ordered=0.2, confirmed=0.5)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    """Ten good answers a second for two minutes; while the process is away nothing is answered but failures."""
    record = Record(tmp_path / "promises.ndjson")
    for second in range(120):
        away = 30 <= second < 32
        record.asked += [Asked(second + number / 10, 0.01, "GET /cart", 0 if away else 200) for number in range(10)]
        if not away:
            record.write(Promise(str(second), f"order-{second}", "anna", "milk", 1, 500, "cash", second, second + 0.1))
    yield record
    record.close()


def day(record: Record, **changed: object) -> Day:
    played = Day("services", "server", 1, faults=[KILLED, NETWORK], before=(5.0, 25.0), after=(60.0, 100.0))
    played.take(record)
    played.orders = Counter(confirmed=118, invariants=28, charged=9)
    for name, value in changed.items():
        setattr(played, name, value)
    return played


def test_requests_count_for_the_fault_in_whose_time_they_failed(record: Record):
    killed, network = day(record).faults
    assert (killed.failed, killed.requests) == (20, 50)  # from its beginning until an order went all the way, and a second
    assert network.failed == 0
    assert day(record).shares("kill") == [20 / 1200]


def test_a_day_without_a_kill_claims_nothing_of_kills(record: Record):
    told = "\n".join(day(record, faults=[NETWORK]).lines())
    assert ("met    double charges" in told, "met    recovery after a kill" in told, "requests failed a kill" in told) == (True, False, False)


def test_throughput_is_held_against_what_it_was_before(record: Record):
    played = day(record)
    assert played.usual == pytest.approx(10)
    assert played.back_after() == 0
    record.asked = [asked for asked in record.asked if not 60 <= asked.at < 72]
    assert 10 <= (day(record).back_after() or 0) <= 12
    record.asked = [asked for asked in record.asked if asked.at < 60]
    assert day(record).back_after() is None
    assert "MISSED throughput back to 95 %: not within the time" in "\n".join(day(record).lines())


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"orders": Counter(lost=1)}, "acknowledged orders lost: 1"),
        ({"orders": Counter({"charged twice": 2})}, "double charges: 2"),
        ({"faults": [Fault("failpoint", "order dies", 30.0, 30.0, ready=6.0)]}, "recovery after a kill, at most: 6.0 s"),
        ({"wrong": ["LOST: order 7 was acknowledged, and is not there"]}, "things that are wrong: 1"),
    ],
)
def test_it_says_which_aim_was_missed(record: Record, changed: dict[str, object], missed: str):
    assert f"MISSED {missed}" in "\n".join(day(record, **changed).lines())


def test_the_page_shows_each_fault_and_what_came_of_all_of_them(record: Record):
    held = {"order": (Held(100, 40, 8), Held(120, 42, 8))}
    shown = page(day(record, held=held), "a machine")
    assert "order &lt;is&gt; killed" in shown
    assert shown.count("<g><title>") == 2
    assert shown.count("failed in second") == 2
    assert "nothing is wrong" in shown
    assert "<script" not in shown


def test_the_page_says_what_was_wrong(record: Record):
    shown = page(day(record, wrong=["LOST: order 7 was acknowledged, and is not there"]), "a machine")
    assert "1 things are wrong" in shown
    assert "LOST: order 7" in shown
