"""The page about a game day."""

from __future__ import annotations

from collections import Counter

from tests.chaos.game_day import Day, Fault, Sample
from tests.chaos.report import page


def day(**changed: object) -> Day:
    faults = [Fault("order <is> killed", 3.0, 3.5, 1.2, "kill"), Fault("the network to redis is slow for 5 s", 6.0, 11.0, 0.1, "network")]
    samples = [Sample(at=number / 2, orders=number * 3, requests=number * 20, failed=number // 10) for number in range(40)]
    played = Day("services", 1, faults, samples, Counter({"status 2xx": 990, "unanswered": 10}), Counter(confirmed=100), acknowledged=117)
    for name, value in changed.items():
        setattr(played, name, value)
    return played


def test_it_shows_each_fault_and_what_came_of_all_of_them():
    shown = page(day(), "a machine")
    assert "order &lt;is&gt; killed" in shown
    assert "1.00 % of them failed" in shown
    assert shown.count("<rect") == 2 + 3  # faults, and the samples between which requests failed
    assert "nothing is wrong" in shown
    assert "<script" not in shown


def test_it_says_what_was_wrong():
    shown = page(day(wrong=["LOST: order 7 was acknowledged, and is not there"]), "a machine")
    assert "1 things are wrong" in shown
    assert "LOST: order 7" in shown
