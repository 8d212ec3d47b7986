"""Leaving alone who fails, and choosing among those who do not."""

from __future__ import annotations

from collections import Counter
from random import Random

from torg.kit.rpc.balance import Balance
from torg.kit.rpc.breaker import Breaker
from torg.kit.rpc.client import Budget


class Now:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def broken(now: Now) -> Breaker:
    breaker = Breaker(now, failures=3, first_rest=1, longest_rest=3)
    for _ in range(3):
        assert breaker.take()
        breaker.failed()
    return breaker


def chosen(balance: Balance, addresses: tuple[str, ...], *tried: str) -> set[str]:
    return {instance.address for instance in (balance.choose("order", addresses, tried) for _ in range(20)) if instance}


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not():
    breaker = Breaker(Now(), failures=3)
    for _ in range(5):
        breaker.failed()
        breaker.failed()
        breaker.succeeded()
    assert (breaker.state, breaker.take()) == ("closed", True)
    assert (broken(Now()).state, broken(Now()).take()) == ("open", False)


def test_after_its_rest_just_one_may_try():
    now = Now()
    breaker = broken(now)
    now.seconds = 1
    assert breaker.state == "half-open"
    assert [breaker.take() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert [breaker.take() for _ in range(3)] == [True, True, True]


def test_each_try_in_vain_makes_the_rest_longer_up_to_a_bound():
    now = Now()
    breaker = broken(now)
    for rest in (1, 2, 3, 3):
        now.seconds += rest - 0.01
        assert not breaker.take()
        now.seconds += 0.01
        assert breaker.take()
        breaker.failed()


def test_a_try_that_was_given_up_leaves_the_chance_to_the_next():
    now = Now()
    breaker = broken(now)
    now.seconds = 1
    assert breaker.take()
    breaker.gave_up()
    assert breaker.take()


def test_of_two_instances_the_one_with_less_to_do_is_asked():
    balance, addresses = Balance(Random(1)), ("a:1", "b:1")
    busy = balance.choose("order", addresses)
    assert busy is not None
    busy.load = 3
    assert chosen(balance, addresses) == {"a:1", "b:1"} - {busy.address}


def test_load_spreads_over_many():
    balance, addresses = Balance(Random(1)), tuple(f"{name}:1" for name in "abcde")
    counted = Counter[str]()
    for _ in range(1000):
        instance = balance.choose("order", addresses)
        assert instance is not None
        instance.load += 1
        counted[instance.address] += 1
    assert max(counted.values()) - min(counted.values()) < 10


def test_broken_instances_are_passed_over_and_all_broken_is_nobody():
    balance, addresses = Balance(Random(1)), ("a:1", "b:1", "c:1")
    for instance in balance.all("order", addresses)[:2]:
        for _ in range(5):
            instance.failed()
    assert chosen(balance, addresses) == {"c:1"}
    for _ in range(5):
        balance.all("order", addresses)[2].failed()
    assert balance.choose("order", addresses) is None


def test_another_try_goes_to_another_instance():
    balance, addresses = Balance(Random(1)), ("a:1", "b:1", "c:1")
    assert chosen(balance, addresses, "a:1", "c:1") == {"b:1"}


def test_what_is_known_of_an_instance_outlives_a_change_of_the_list():
    balance = Balance(Random(1))
    first = balance.all("order", ("a:1", "b:1"))[0]
    assert balance.all("order", ("c:1", "a:1"))[1] is first
    assert [instance.address for instance in balance.all("order", ("c:1",))] == ["c:1"]


def test_only_a_share_of_calls_is_sent_again():
    budget = Budget(share=0.1, most=2)
    assert [budget.spend() for _ in range(4)] == [True, True, False, False]
    for _ in range(11):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]
