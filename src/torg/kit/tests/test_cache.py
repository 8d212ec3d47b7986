"""What the edge keeps: so many answers, so many bytes, and nothing of those that gave way."""

from __future__ import annotations

import time
import tracemalloc

from torg.kit.http.cache import Kept, Key, ResponseCache


def answer(body: bytes = b"cup") -> Kept:
    return Kept(body, [], b"", time.monotonic() + 60, None)


def key(number: int) -> Key:
    return "/", f"page={number}".encode(), False


def test_the_oldest_answer_gives_way():
    cache = ResponseCache(size=2)
    for number in range(3):
        cache.put(key(number), answer(), ("shelf",))
    assert [cache.get(key(number)) is not None for number in range(3)] == [False, True, True]


def test_large_answers_give_way_before_they_fill_the_memory():
    cache = ResponseCache(room=1_000_000)
    for number in range(30):
        cache.put(key(number), answer(b"x" * 100_000), ("shelf",))
    assert 8 <= sum(cache.get(key(number)) is not None for number in range(30)) <= 9
    cache.put(key(99), answer(b"x" * 2_000_000), ())
    assert cache.get(key(99)) is None


def test_an_endless_row_of_addresses_leaves_nothing_behind():
    cache = ResponseCache(size=10)
    tracemalloc.start()
    try:
        for number in range(20_000):
            cache.put(key(number), answer(), ("catalog",))
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_an_answer_that_is_put_anew_is_purged_by_its_new_tags():
    cache = ResponseCache()
    cache.put(key(1), answer(), ("old", "both"))
    cache.put(key(1), answer(), ("new", "both"))
    cache.purge("old")
    assert cache.get(key(1)) is not None
    cache.purge("both")
    assert cache.get(key(1)) is None
    cache.purge("new")
