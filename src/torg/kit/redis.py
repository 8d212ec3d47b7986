"""Redis: what several processes share and may lose. Every key has an owner and an expiry, every command a time-out; where it is away, there is Unavailable.

Nothing in it is the only proof of anything: docs/decisions/0013-what-redis-keeps.md."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NewType
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from torg.kit.errors import Unavailable
from torg.kit.telemetry import REDIS_FAILURES, log

Key = NewType("Key", bytes)
"""Made by `key` alone."""
Heard = Callable[[bytes], None]
"""Takes a message of a channel."""
Missed = Callable[[], None]
"""Is told that messages may have been missed: before the first one, and whenever the connection was lost or is new."""

SPACE: Final = "torg"
SCHEMES: Final = ("redis", "rediss", "sentinel")
PATIENCE: Final = 0.5  # seconds for one try
DEADLINE: Final = 1.0  # seconds for a command with all its tries
REST: Final = 0.5  # seconds without asking after one that failed: others needn't wait as well
BEAT: Final = 1.0  # seconds of silence after which the listener asks whether the server is still there
GONE: Final = (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError, redis.exceptions.MasterDownError, OSError)
REFUSALS: Final = ("MISCONF", "NOREPLICAS")  # it is there, but takes no change now


def key(owner: str, *parts: str) -> Key:
    """The one way to make a key: whose it is (a context, or "edge"), and what tells it apart from the owner's others."""
    return Key(":".join((SPACE, owner, *(part.replace("%", "%25").replace(":", "%3A") for part in parts))).encode())


class Script:
    """Lua that Redis runs as one step, maybe twice in a row."""

    def __init__(self, text: str) -> None:
        self.text, self.digest = text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Redis:
    """A process's way to Redis. Raises Unavailable where it doesn't answer in time, at once while it is known not to. A command whose answer was lost is sent
    again: whatever is asked for here must be harmless when it happens twice."""

    def __init__(self, url: str, most: int = 16) -> None:
        """`most` connections; `url` as `redis://:password@host:port/0`, `rediss://…` (TLS) or `sentinel://host:port,host:port/master?db=0`."""
        (self._client, *self._watchers), self._room = _clients(url), asyncio.Semaphore(most)
        self._away_until = 0.0
        self._ears: dict[bytes, list[tuple[Heard, Missed]]] = {}
        self.listening = False

    # ---------------------------------------------------------------- commands

    async def get(self, key: Key) -> bytes | None:
        found: bytes | None = await self._run("GET", key)
        return found

    async def many(self, *keys: Key) -> list[bytes | None]:
        """The values in the keys' order."""
        found: list[bytes | None] = await self._run("MGET", *keys)
        return found

    async def put(self, key: Key, value: bytes | str, seconds: float, only_new: bool = False) -> bool:
        """Keeps the value for so long; False when `only_new` and there was one, were it by a try of this very command."""
        return await self._run("SET", key, value, "PX", _milliseconds(seconds), *(["NX"] if only_new else [])) is not None

    async def drop(self, *keys: Key) -> int:
        """How many there were."""
        count: int = await self._run("UNLINK", *keys)
        return count

    async def run(self, script: Script, keys: Sequence[Key], *words: bytes | str | float) -> Any:
        try:
            return await self._run("EVALSHA", script.digest, len(keys), *keys, *words)
        except redis.exceptions.NoScriptError:  # it was started anew, or another one took over
            return await self._run("EVAL", script.text, len(keys), *keys, *words)

    async def tell(self, channel: str, message: bytes | str) -> None:
        """Sends it to all who listen now."""
        await self._run("PUBLISH", self.channel(channel), message)

    @staticmethod
    def channel(name: str) -> str:
        """What a script publishes to."""
        return f"{SPACE}:{name}"

    async def fault(self) -> str:
        """Empty when it answers, else what is wrong."""
        try:
            await self._run("PING")
        except Unavailable as away:
            return away.detail
        return ""

    async def _run(self, *words: Any) -> Any:
        async with self._room:
            now = time.monotonic()
            if self._away_until:
                if now < self._away_until:
                    raise Unavailable("Redis does not answer now: try again in a moment")
                self._away_until = now + DEADLINE  # this one finds out; the others needn't wait with it
            reply = await self._until(now + DEADLINE, words)
            self._away_until = 0.0
            return reply

    async def _until(self, deadline: float, words: tuple[Any, ...]) -> Any:
        pause = 0.02
        while True:
            try:
                return await self._client.execute_command(*words)  # type: ignore[no-untyped-call]
            except GONE as error:
                if isinstance(error, redis.ReadOnlyError):  # it was a master a moment ago
                    await self._client.connection_pool.disconnect(inuse_connections=False)
                if time.monotonic() + pause > deadline:
                    REDIS_FAILURES.inc()
                    self._away_until = time.monotonic() + REST
                    raise Unavailable(f"Redis does not answer: {error}") from error
            except redis.ResponseError as error:
                self._away_until = 0.0
                if isinstance(error, redis.OutOfMemoryError) or str(error).startswith(REFUSALS):
                    REDIS_FAILURES.inc()
                    raise Unavailable(f"Redis takes no change now: {error}", 5) from error
                raise
            await asyncio.sleep(pause)
            pause *= 2

    # ---------------------------------------------------------------- messages

    def hear(self, channel: str, heard: Heard, missed: Missed) -> None:
        """Has what is told there handed on, once `listen` runs."""
        self._ears.setdefault(self.channel(channel).encode(), []).append((heard, missed))

    async def listen(self) -> None:
        """Follows the channels for as long as the process lives, through losses of the connection; `listening` says whether it has one."""
        pause = 0.05
        while self._ears:
            try:
                await self._follow()
            except GONE as error:
                if self.listening:
                    log.warning("the connection to Redis was lost", error=str(error))
                    pause = 0.05
            finally:
                self._lost()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _lost(self) -> None:
        self.listening = False
        for ears in self._ears.values():
            for _, missed in ears:
                missed()

    async def _follow(self) -> None:
        async with self._client.pubsub() as source:
            await source.subscribe(*self._ears)
            waiting, silent = len(self._ears), False
            while True:
                message = await source.get_message(timeout=BEAT)
                if message is None:
                    if silent:
                        raise redis.TimeoutError(f"nothing was heard for {2 * BEAT:.0f} s")
                    await source.ping()
                elif message["type"] == "message":
                    for heard, _ in self._ears[message["channel"]]:
                        heard(message["data"])
                elif message["type"] == "subscribe":
                    waiting -= 1
                    if not waiting:
                        self._lost()
                        self.listening = True
                silent = message is None

    async def close(self) -> None:
        for client in (self._client, *self._watchers):
            await client.aclose()


def _clients(url: str) -> list[Client]:
    """The one to ask, then those that know who it is. Raises ValueError with a sentence for a URL that can't be one."""
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES:
        raise ValueError(f"{url!r} is no URL of Redis: it begins with {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    how: dict[str, Any] = {
        "socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "socket_keepalive": True, "retry": Retry(NoBackoff(), 0),
        "health_check_interval": 0, "protocol": 2, "driver_info": None,
    }  # fmt: skip
    if parts.scheme != "sentinel":
        return [Client.from_url(url, **how)]
    secret = {"username": parts.username, "password": parts.password and unquote(parts.password)}
    asked = dict(parse_qsl(parts.query))
    sentinels = [_address(host) for host in parts.netloc.rpartition("@")[2].split(",")]
    master = parts.path.strip("/") or "mymaster"
    watch = Sentinel(sentinels, sentinel_kwargs=how, **how, **secret, db=int(asked.get("db", 0)))  # type: ignore[no-untyped-call]
    return [watch.master_for(master), *watch.sentinels]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else (text, 26379)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
