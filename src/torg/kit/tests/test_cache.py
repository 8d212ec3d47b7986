"""What the edge keeps: so many answers, so many bytes, and nothing of those that gave way."""

from __future__ import annotations

import asyncio
import time
import tracemalloc

from torg.kit.http.cache import Keeping, Kept, Key, ResponseCache

SHELF = Keeping(60, ("shelf",), None)


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


async def test_of_those_who_ask_at_once_one_makes_it():
    cache, made = ResponseCache(), 0

    async def make() -> Kept:
        nonlocal made
        made += 1
        await asyncio.sleep(0.01)
        return answer()

    kept = await asyncio.gather(*(cache.fetch(key(1), SHELF, make) for _ in range(50)))
    assert (made, len({id(one) for one in kept})) == (1, 1)
    assert cache.get(key(1)) is kept[0]


async def test_an_answer_that_was_begun_before_a_purge_is_not_kept_nor_given_to_those_who_ask_later():
    cache, bodies, begun = ResponseCache(), [b"old", b"new"], asyncio.Event()

    async def make() -> Kept:
        body = bodies.pop(0)
        begun.set()
        await asyncio.sleep(0.01)
        return answer(body)

    early = asyncio.create_task(cache.fetch(key(1), SHELF, make))
    await begun.wait()
    cache.purge("shelf")
    late = await cache.fetch(key(1), SHELF, make)
    before = await early
    assert before and late
    assert (before.body, late.body) == (b"old", b"new")
    kept = cache.get(key(1))
    assert kept is late


async def test_where_the_first_one_fails_the_others_make_their_own():
    cache, tried = ResponseCache(), 0

    async def make() -> Kept | None:
        nonlocal tried
        tried += 1
        await asyncio.sleep(0.01)
        if tried == 1:
            raise ZeroDivisionError
        return None

    outcomes = await asyncio.gather(*(cache.fetch(key(1), SHELF, make) for _ in range(3)), return_exceptions=True)
    assert isinstance(outcomes[0], ZeroDivisionError)
    assert outcomes[1:] == [None, None]
    assert await cache.fetch(key(1), SHELF, make) is None
    assert tried == 2
