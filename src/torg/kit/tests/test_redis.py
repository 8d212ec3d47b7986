"""The way to Redis: time-outs, restarts and fail-over, as the ones who use it see them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest
from redis.asyncio import Redis as Client

from torg.engines import run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.engines.redis import server
from torg.kit.errors import Unavailable
from torg.kit.ports import free_port
from torg.kit.redis import Redis, Script, key
from torg.kit.testing.redis import emptied, lasting, listening, patient, redis_url
from torg.kit.testing.waiting import SETTLE, until

__all__ = ["redis_url"]
T = TypeVar("T")
CUP, SAUCER = key("cart", "cup"), key("cart", "saucer")
ADD = Script("return redis.call('SET', KEYS[1], (redis.call('GET', KEYS[1]) or '') .. ARGV[1], 'PX', ARGV[2])")


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with emptied(redis_url) as client:
        yield client


class Server:
    """One that a test may kill, stop and start again."""

    def __init__(self, folder: Path, *more: str) -> None:
        self._engine = named("redis")
        self.place = Place(run.homes() / "redis", folder, free_port())
        run.install(self._engine, self.place, lambda _: None)
        self._more = more
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen([*self._engine.command(self.place), "--repl-diskless-sync-delay", "0", *self._more], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def url(self) -> str:
        return self._engine.settings(self.place)["TORG_REDIS"]


@contextmanager
def ended(*processes: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.fixture
def own(tmp_path: Path, redis_url: str) -> Iterator[Server]:
    """`redis_url` only so that it is skipped where there is none."""
    made = Server(tmp_path / "redis")
    yield made
    with ended(made.process):
        pass


async def back(client: Redis, seconds: float = SETTLE) -> None:
    deadline = time.monotonic() + seconds
    while await client.fault():
        assert time.monotonic() < deadline, "it didn't come back"
        await asyncio.sleep(0.05)


async def at_last(ask: Callable[[], Awaitable[T]], seconds: float = SETTLE) -> T:
    """What it gives once it is available; a Sentinel that is short of time may doubt a new master for a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await ask()
        except Unavailable:
            assert time.monotonic() < deadline, "it didn't come back"
            await asyncio.sleep(0.05)


# ---------------------------------------------------------------- keys


def test_no_two_ways_of_naming_make_one_key() -> None:
    assert len({key("cart", "a", "b"), key("cart", "a:b"), key("cart", "a%3Ab"), key("cart:a", "b")}) == 4 - 1, "an owner's name has no colon"


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
def test_what_is_no_url_of_redis_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(ValueError, match="redis://, rediss://, sentinel://"):
        Redis(url)


async def test_a_key_without_expiry_or_owner_is_found(redis: Redis, redis_url: str) -> None:
    async with Client.from_url(redis_url) as raw:
        await raw.set(CUP, "1")
        await raw.set("torg:nobody:x", "1", px=1000)
        await raw.set("stray", "1", px=1000)
        assert sorted(await lasting(raw)) == ["b'stray' has no known owner", "b'torg:cart:cup' has no expiry", "b'torg:nobody:x' has no known owner"]
        await raw.flushall()


# ---------------------------------------------------------------- commands


async def test_a_value_is_kept_for_its_time(redis: Redis) -> None:
    assert await redis.put(CUP, b"tea", 1)
    assert await redis.many(CUP, key("cart", "none")) == [b"tea", None]
    assert not await redis.put(CUP, b"coffee", 1, only_new=True)

    async def gone() -> bool:
        return await redis.get(CUP) is None

    await until(gone)


async def test_a_script_runs_though_redis_has_forgotten_it(redis: Redis, redis_url: str) -> None:
    async with Client.from_url(redis_url) as raw:
        for expected in (b"a", b"aa", b"aaa"):
            await redis.run(ADD, [CUP], b"a", 1000)
            assert await redis.get(CUP) == expected
            await raw.script_flush()


async def test_a_full_redis_refuses_with_a_sentence_and_is_asked_again_at_once(own: Server) -> None:
    client = Redis(patient(own.url))
    await back(client)
    async with Client.from_url(own.url) as raw:
        await raw.config_set("maxmemory", "1")
        with pytest.raises(Unavailable, match=r"takes no change now: .*memory"):
            await client.put(CUP, b"tea", 1)
        await raw.config_set("maxmemory", "0")
    await client.put(CUP, b"tea", 1)
    await client.close()


# ---------------------------------------------------------------- away and back


async def test_a_killed_server_makes_commands_fail_soon_and_its_return_is_noticed(own: Server) -> None:
    client = Redis(own.url)
    await back(client)
    await client.put(CUP, b"tea", 60)
    own.kill()
    async with asyncio.timeout(30):
        with pytest.raises(Unavailable):
            await client.get(CUP)
        for _ in range(100):  # each with all its tries would take a hundred seconds: nobody waits for what is known to be away
            with pytest.raises(Unavailable):
                await client.get(CUP)
    own.start()
    assert await at_last(lambda: client.get(CUP)) == b"tea", "what it had answered for survives its death"
    await client.close()


async def test_a_server_that_hangs_holds_nobody_up_for_long(own: Server) -> None:
    client = Redis(own.url)
    await back(client)
    own.process.send_signal(signal.SIGSTOP)
    async with asyncio.timeout(40):  # sixteen after the other sixteen they would take longer
        ends = await asyncio.gather(*(client.get(CUP) for _ in range(1000)), return_exceptions=True)
    assert all(isinstance(end, Unavailable) for end in ends)
    own.process.send_signal(signal.SIGCONT)
    await back(client)
    await client.close()


async def test_a_restart_goes_unnoticed_by_who_may_ask_again(own: Server) -> None:
    client = Redis(own.url)

    async def unnoticed() -> bool:
        await back(client)
        own.kill()
        asking = asyncio.create_task(client.put(CUP, b"tea", 60))
        await asyncio.sleep(0.05)
        own.start()
        return await asking

    assert await at_last(unnoticed), "on a busy machine a server is not always back within a second"
    await client.close()


# ---------------------------------------------------------------- messages


async def test_a_message_reaches_all_who_listen_and_a_lost_connection_is_told(own: Server) -> None:
    heard: list[bytes] = []
    missed: list[int] = []
    here, there = Redis(patient(own.url)), Redis(patient(own.url))
    await back(here)
    for client in (here, there):
        client.hear("news", heard.append, lambda: missed.append(1))
    async with listening(here, there):
        await here.tell("news", b"one")
        await until(lambda: heard == [b"one", b"one"])
        missed.clear()
        own.kill()
        await until(lambda: not here.listening and not there.listening)
        assert len(missed) >= 2, "each was told at once"
        own.start()
        await until(lambda: here.listening and there.listening)
        await there.tell("news", b"two")
        await until(lambda: heard[2:] == [b"two", b"two"])
    await here.close()
    await there.close()


async def test_a_listener_notices_a_server_that_hangs(own: Server) -> None:
    client = Redis(own.url)
    await back(client)
    client.hear("news", lambda _: None, lambda: None)
    async with listening(client):
        await asyncio.sleep(1.2)
        assert client.listening, "silence alone is no loss"
        own.process.send_signal(signal.SIGSTOP)
        await until(lambda: not client.listening)
        own.process.send_signal(signal.SIGCONT)
        await until(lambda: client.listening)
    await client.close()


# ---------------------------------------------------------------- fail-over


async def test_the_client_follows_a_fail_over_by_itself(own: Server, tmp_path: Path) -> None:
    replica, port, watch = Server(tmp_path / "replica", "--replicaof", f"127.0.0.1 {own.place.port}"), free_port(), tmp_path / "sentinel.conf"
    watch.write_text(
        f"bind 127.0.0.1\nport {port}\ndir {tmp_path}\nsentinel monitor shop 127.0.0.1 {own.place.port} 1\n"
        f"sentinel known-replica shop 127.0.0.1 {replica.place.port}\nsentinel down-after-milliseconds shop 1500\n"
    )
    binary = server(own.place.home)
    assert binary
    sentinel = subprocess.Popen([binary, watch, "--sentinel"], stdout=subprocess.DEVNULL)  # noqa: ASYNC220 takes no time
    client, follower, heard = Redis(f"sentinel://127.0.0.1:{port}/shop"), Redis(replica.url), list[bytes]()
    with ended(replica.process, sentinel):
        await back(client)
        await back(follower)
        await at_last(lambda: client.put(CUP, b"tea", 60))
        while await at_last(lambda: follower.get(CUP)) != b"tea":  # noqa: ASYNC110 another process changes it
            await asyncio.sleep(0.02)
        client.hear("news", heard.append, lambda: None)
        async with listening(client):
            own.kill()
            await until(lambda: not client.listening)
            assert await at_last(lambda: client.put(SAUCER, b"new", 60))
            assert await at_last(lambda: client.many(CUP, SAUCER)) == [b"tea", b"new"]
            await until(lambda: client.listening)

            async def told() -> bool:  # a Sentinel's doubts may cost a listener its connection, and what is told meanwhile
                await at_last(lambda: client.tell("news", b"moved"))
                return b"moved" in heard

            await until(told)
        await client.close()
        await follower.close()
