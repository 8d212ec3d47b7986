"""Leaving alone who fails, and choosing among those who do not."""

from __future__ import annotations

from collections import Counter
from random import Random

from torg.kit.rpc.balance import FIRST_REST, LOOK, WARM, Balance
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
    return {instance.address for instance in (balance.choose("order", addresses, tried) for _ in range(50)) if instance}


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


def test_what_was_sent_before_it_opened_makes_its_rest_no_longer():
    now = Now()
    breaker = broken(now)
    for _ in range(100):
        breaker.failed()
    now.seconds = 1
    assert breaker.take()


MANY = tuple(f"10.0.0.{number}:1" for number in range(100))


def test_a_hundred_that_all_fail_are_left_alone_soon_and_one_request_tries_again():
    now = Now()
    balance = Balance(Random(1), now)
    for _ in range(20):
        asked = balance.choose("order", MANY)
        assert asked is not None
        asked.failed()
    assert balance.choose("order", MANY) is None, "though most of them were not asked five times"
    now.seconds += 0.5
    probes = [balance.choose("order", MANY) for _ in range(3)]
    assert [probe is not None for probe in probes] == [True, False, False]
    assert probes[0] is not None
    probes[0].succeeded(0.01)
    assert all(balance.choose("order", MANY) for _ in range(3))


def test_a_probe_that_nobody_waited_for_leaves_the_chance_to_the_next():
    now = Now()
    balance = Balance(Random(1), now)
    for instance in balance.all("order", MANY)[:20]:
        instance.failed()
    now.seconds += 0.5
    probe = balance.choose("order", MANY)
    assert probe is not None
    assert balance.choose("order", MANY) is None
    probe.gave_up()
    assert balance.choose("order", MANY) is not None


def test_some_that_fail_among_many_close_nothing():
    balance = Balance(Random(1))
    for _ in range(1000):
        asked = balance.choose("order", MANY)
        assert asked is not None
        asked.failed() if asked.address.endswith(("1:1", "2:1", "3:1")) else asked.succeeded(0.01)


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


FOUR = ("a:1", "b:1", "c:1", "d:1")


def share(balance: Balance, addresses: tuple[str, ...], of: str, count: int = 2000) -> float:
    return [instance.address for instance in (balance.choose("order", addresses) for _ in range(count)) if instance].count(of) / count


def after_answers(balance: Balance, now: Now, seconds: dict[str, float], failing: tuple[str, ...] = (), addresses: tuple[str, ...] = FOUR) -> set[str]:
    """Who is still asked, after each has answered often enough and time has passed."""
    balance.choose("order", addresses)
    for instance in balance.all("order", addresses):
        for _ in range(30):
            instance.succeeded(seconds.get(instance.address, 0.01), well=instance.address not in failing)
    now.seconds += LOOK
    return chosen(balance, addresses)


def test_a_new_instance_gets_its_share_little_by_little():
    now = Now()
    balance = Balance(Random(1), now)
    assert 0.4 < share(balance, ("a:1", "b:1"), "a:1") < 0.6, "those of the start are no newer than each other"
    shares = []
    for _ in range(4):
        shares.append(share(balance, ("a:1", "b:1", "c:1"), "c:1"))
        now.seconds += WARM / 3
    assert shares == sorted(shares)
    assert (shares[0] < 0.1, shares[-1] > 0.28) == (True, True)


def test_an_instance_that_fails_much_more_than_its_peers_is_left_out():
    now = Now()
    assert after_answers(Balance(Random(1), now), now, {}, failing=("b:1",)) == {"a:1", "c:1", "d:1"}


def test_an_instance_that_is_much_slower_than_its_peers_is_left_out():
    now = Now()
    assert after_answers(Balance(Random(1), now), now, {"d:1": 0.2}) == {"a:1", "b:1", "c:1"}


def test_all_fail_alike_or_are_slow_alike_and_nobody_is_left_out():
    now = Now()
    assert after_answers(Balance(Random(1), now), now, dict.fromkeys(FOUR, 3.0), failing=FOUR) == set(FOUR)


def test_never_more_than_half_are_left_out():
    now = Now()
    addresses = tuple(f"{name}:1" for name in "abcde")
    balance = Balance(Random(1), now)
    left = after_answers(balance, now, {"a:1": 0.5, "b:1": 0.9}, addresses=addresses)
    assert left == {"c:1", "d:1", "e:1"}
    assert len(after_answers(balance, now, {"c:1": 0.5}, addresses=addresses)) >= 3


def test_who_is_no_better_after_its_rest_rests_longer():
    now = Now()
    balance = Balance(Random(1), now)
    after_answers(balance, now, {"a:1": 0.5})
    first = balance.all("order", FOUR)[0].until - now.seconds
    now.seconds += FIRST_REST
    assert "a:1" in chosen(balance, FOUR)
    after_answers(balance, now, {"a:1": 0.5})
    assert balance.all("order", FOUR)[0].until - now.seconds == 2 * first
    now.seconds += 2 * first
    assert "a:1" in after_answers(balance, now, {})
    after_answers(balance, now, {"a:1": 0.5})
    assert balance.all("order", FOUR)[0].until - now.seconds == first, "it had done well in between"


def test_who_is_left_out_is_asked_where_all_others_are_broken():
    now = Now()
    balance = Balance(Random(1), now)
    after_answers(balance, now, {"a:1": 0.5})
    for instance in balance.all("order", FOUR)[1:]:
        for _ in range(5):
            instance.failed()
    assert chosen(balance, FOUR) == {"a:1"}


def test_the_same_seed_chooses_the_same():
    def run() -> list[str]:
        now = Now()
        balance = Balance(Random(7), now)
        found = [balance.choose("order", ("a:1", "b:1")) for _ in range(50)]
        now.seconds += 1
        found += [balance.choose("order", FOUR) for _ in range(50)]
        return [instance.address for instance in found if instance]

    assert run() == run()
