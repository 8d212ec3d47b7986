"""Gives kept answers again, and has them made anew: one request for all who ask for the same at the same time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from prometheus_client import Counter

from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.keeping import FAILED, LARGEST, SETTLING, Keep, Kept, Key, Terms, is_private, kept_of, terms_of, unchanged
from torg.contexts.gateway.model.paths import Node, exactly
from torg.contexts.gateway.ports import Answers, Mark
from torg.kit import telemetry
from torg.kit.http.cache import FOR_GATEWAY
from torg.kit.http.cookies import cookie_name
from torg.kit.http.request import Headers, first_spoken
from torg.kit.tasks import ended
from torg.kit.values import Language

TRIES: Final = 3
ALONE: Final = 1.0  # seconds that an answer is fresh while nobody tells what has changed
PATIENCE: Final = 1.0  # seconds that whoever could have an old answer waits for a new one
AGAIN: Final = 1.0  # seconds until a context that has failed to answer is asked again, where there is an old answer
ASIDE: Final = 10.0  # seconds for which it is remembered that an answer is not to be kept
PATHS: Final = 8192  # paths of which it is remembered how they are kept
REMEMBERED: Final = 4096  # … of so many questions
BYPASS: Final = frozenset({b"authorization", b"x-api-key", b"range", b"if-match", b"if-unmodified-since", b"transfer-encoding", b"upgrade"})
"""Requests with these are answered for themselves."""
OWN: Final = frozenset(
    {b"cookie", b"if-none-match", b"if-modified-since", b"cache-control", b"pragma", b"accept-language", b"accept-encoding", b"content-length"}
)
"""What the question for everybody leaves out of the request of the one who was first."""
GIVEN: Final = Counter("torg_gateway_kept_total", "Requests for what a gateway keeps, by how they were answered", ("how",))
"""fresh, stale (while it is asked anew), away (old, as nobody answers), made, joined (made for another one), aside (not to be kept)."""

FRESH, STALE = GIVEN.labels("fresh"), GIVEN.labels("stale")

Send = Callable[[Any], Awaitable[None]]
Proxy = Callable[[Row, Any, Any, Any], Awaitable[None]]
T = TypeVar("T")


class Asked(NamedTuple):
    """What a request says that matters for its answer."""

    headers: dict[bytes, bytes]
    russian: bool
    cookies: bool

    def key(self, scope: Any, varies: tuple[bytes, ...]) -> Key:
        return Key(self.headers.get(b"host", b""), scope["raw_path"], scope["query_string"], self.russian, tuple(map(self._value, varies)))

    def _value(self, name: bytes) -> bytes:
        value = self.headers.get(name, b"")
        return value if name != b"accept-encoding" else b"gzip" if b"gzip" in value else b""


@dataclass(slots=True)
class Made:
    """What has come of asking: an answer to keep, or one for those who have asked just now."""

    status: int
    kept: Kept | None
    headers: Headers
    body: bytes
    since: Mark
    varies: tuple[bytes, ...] = ()
    stored: bool = False
    shared: bool = True


class _Few(Generic[T]):
    """The last few things that are worth remembering of questions."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, default: T) -> T:
        return self._known.get(key, default)

    def put(self, key: Hashable, value: T) -> None:
        self._known[key] = value
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


class Keeper:
    """In front of a proxy. `hearing` says whether all that changes is heard of; `secure`: it is reached over HTTPS."""

    def __init__(
        self, proxy: Proxy, keeps: Node[Keep], answers: Answers, hearing: Callable[[], bool], secure: bool = False, now: Callable[[], float] | None = None
    ) -> None:
        self._proxy, self._answers, self._hearing, self._now = proxy, answers, hearing, now or time.monotonic
        self._keep_of = lru_cache(PATHS)(partial(exactly, root=keeps))
        self._language = cookie_name("language", secure).encode()
        self._flights: dict[Key, asyncio.Future[Made | None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._varies, self._aside, self._failed = _Few[tuple[bytes, ...]](), _Few[float](), _Few[float]()

    async def close(self) -> None:
        await ended(self._tasks)

    async def __call__(self, row: Row, scope: Any, receive: Any, send: Send) -> None:
        """Answers from what is kept, or has it made; what is not for keeping is handed on as it is."""
        keep = self._keep_of(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        asked = self._asked(scope) if keep is not None else None
        if asked is None or keep is None or (asked.cookies and keep.cookies == "bypass"):
            await self._proxy(row, scope, receive, send)
            return
        base = asked.key(scope, ())
        arrived = self._answers.now()
        for _ in range(TRIES):
            key = self._key(base, asked, scope)
            now = self._now()
            if self._aside.get(key, 0.0) > now:
                break
            kept = self._answers.held(key)
            if kept is not None and self._good(kept, now):
                await self._give(kept, now, key, keep, row, scope, asked, send)
                return
            old = kept if kept is not None and now < kept.away else None
            flight, first = self._fly(key, keep, row, scope, asked)
            made = await self._landed(flight, key, old)
            old = self._answers.held(key)  # what was purged meanwhile is gone
            if old is not None and now < old.away and (made is None or made.status in FAILED):
                GIVEN.labels("away").inc()
                await _send_kept(old, now, b"Torg; hit; ttl=%d; detail=away" % (self._fresh(old) - now), scope, asked, send)
                return
            if made is None or (made.kept is None and (not made.shared or asked.cookies)):
                break
            if self._before(made, arrived) or self._key(base, asked, scope) != key:
                continue  # it was asked for before something changed, or is the answer to another question
            GIVEN.labels("made" if first else "joined").inc()
            await _tell(made, self._now(), first, scope, asked, send)
            return
        GIVEN.labels("aside").inc()
        await self._proxy(row, scope, receive, send)

    # ---------------------------------------------------------------- what is asked

    def _asked(self, scope: Any) -> Asked | None:
        """None for a request whose answer is its own."""
        headers = dict(scope["headers"])
        if not BYPASS.isdisjoint(headers) or headers.get(b"content-length", b"0") != b"0":
            return None
        cookies = headers.get(b"cookie")
        spoken = first_spoken(self._chosen(cookies)) if cookies and self._language in cookies else None
        if spoken is None:
            accepted = headers.get(b"accept-language", b"")
            spoken = Language.RU if accepted[:2] == b"ru" else first_spoken(accepted.decode("latin-1")) if accepted else None
        return Asked(headers, spoken is Language.RU, cookies is not None)

    def _chosen(self, cookies: bytes) -> str:
        pairs = (pair.partition(b"=") for pair in cookies.split(b";"))
        return next((value.strip().strip(b'"').decode("latin-1") for name, _, value in pairs if name.strip() == self._language), "")

    def _key(self, base: Key, asked: Asked, scope: Any) -> Key:
        varies = self._varies.get(base, ())
        return asked.key(scope, varies) if varies else base

    # ---------------------------------------------------------------- what is kept

    def _fresh(self, kept: Kept) -> float:
        """Until when; while changes are not heard of, for a moment only."""
        return kept.fresh if not kept.tags or self._hearing() else min(kept.fresh, kept.made + ALONE)

    def _good(self, kept: Kept, now: float) -> bool:
        """Whether it can be given at once: fresh, or not much older."""
        return now < self._fresh(kept) or (now < kept.stale and self._hearing())

    async def _give(self, kept: Kept, now: float, key: Key, keep: Keep, row: Row, scope: Any, asked: Asked, send: Send) -> None:
        left = self._fresh(kept) - now
        if left < 0 and self._failed.get(key, 0.0) <= now:
            self._fly(key, keep, row, scope, asked)
        (FRESH if left >= 0 else STALE).inc()
        await _send_kept(kept, now, b"Torg; hit; ttl=%d" % left, scope, asked, send)

    # ---------------------------------------------------------------- what is made

    def _fly(self, key: Key, keep: Keep, row: Row, scope: Any, asked: Asked) -> tuple[asyncio.Future[Made | None], bool]:
        """What comes of asking for everybody, whoever of them goes away meanwhile; and whether nobody else had begun to."""
        if (under_way := self._flights.get(key)) is not None:
            return under_way, False
        landed = self._flights[key] = asyncio.get_running_loop().create_future()
        task = asyncio.ensure_future(self._land(landed, key, keep, row, _question(scope, asked), asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return landed, True

    async def _landed(self, flight: asyncio.Future[Made | None], key: Key, old: Kept | None) -> Made | None:
        """Whoever could have an old answer does not wait for long, and not at all for who has just failed. None: everybody asks for themselves."""
        if old is None:
            return await asyncio.shield(flight)
        if self._failed.get(key, 0.0) <= self._now():
            await asyncio.wait({flight}, timeout=PATIENCE)
        return flight.result() if flight.done() else None

    def _before(self, made: Made, arrived: Mark) -> bool:
        """Whether it was asked for before a change that was known when a request arrived."""
        if made.kept is None:
            return made.status not in FAILED and (made.since.number < arrived.number or made.since.at + SETTLING < arrived.at)
        return self._answers.changed(made.kept.tags, made.since, arrived)

    async def _land(self, landed: asyncio.Future[Made | None], key: Key, keep: Keep, row: Row, scope: Any, asked: Asked) -> None:
        made: Made | None = None
        try:
            made = await self._make(key, keep, row, scope, asked)
        except Exception as error:  # noqa: BLE001 a defect must not become that of all who wait: each of them asks for itself, and the log has the story
            telemetry.log.error("an answer to keep could not be made", path=scope["path"], exc_info=error)
        finally:
            del self._flights[key]
            if not landed.done():
                landed.set_result(made)

    async def _make(self, key: Key, keep: Keep, row: Row, scope: Any, asked: Asked) -> Made | None:
        found, since = await self._answers.seek(key)
        if found is not None and self._now() < self._fresh(found):
            return Made(200, found, found.headers, found.body, since, stored=True)
        whole = _Whole()
        with suppress(_TooLarge):
            await self._proxy(row, scope, _Nobody(), whole)
        if not whole.ended:  # it broke off, or is too large
            if whole.size > LARGEST:
                self._aside.put(key, self._now() + ASIDE)
            return None
        terms = terms_of(whole.status, whole.headers)
        made = Made(whole.status, None, whole.headers, b"".join(whole.pieces), since)
        if terms is not None:
            await self._keep(made, key, terms, keep, asked, scope)
        elif whole.status == 200 or is_private(whole.headers):
            self._aside.put(key, self._now() + ASIDE)
            made.shared = False
        elif whole.status in FAILED:
            self._failed.put(key, self._now() + AGAIN)
        return made

    async def _keep(self, made: Made, key: Key, terms: Terms, keep: Keep, asked: Asked, scope: Any) -> None:
        base = key._replace(varied=())
        if terms.varies != self._varies.get(base, ()):
            self._varies.put(base, terms.varies)
        made.kept = kept_of(made.headers, made.body, terms, keep, made.since.at)
        made.stored = await self._answers.keep(self._key(base, asked, scope), made.kept, made.since)


class _TooLarge(Exception):
    """An answer has more bytes than are kept."""


class _Nobody:
    """An ASGI `receive` of a request without a body, whose client never goes away: the answer is everybody's."""

    def __init__(self) -> None:
        self._said = False

    async def __call__(self) -> Any:
        if self._said:
            await asyncio.get_running_loop().create_future()
        self._said = True
        return {"type": "http.request", "body": b"", "more_body": False}


class _Whole:
    """An ASGI `send` that gathers an answer."""

    def __init__(self) -> None:
        self.status, self.headers, self.pieces, self.size, self.ended = 0, list[tuple[bytes, bytes]](), list[bytes](), 0, False

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], message["headers"]
            return
        self.pieces.append(message.get("body", b""))
        self.size += len(self.pieces[-1])
        if self.size > LARGEST:
            raise _TooLarge
        self.ended = not message.get("more_body", False)


def _question(scope: Any, asked: Asked) -> Any:
    """The request, as a stranger would have made it."""
    headers = [header for header in scope["headers"] if header[0] not in OWN]
    headers.append((b"accept-language", b"ru" if asked.russian else b"en"))
    if b"gzip" in asked.headers.get(b"accept-encoding", b""):
        headers.append((b"accept-encoding", b"gzip"))
    return {**scope, "method": "GET", "headers": headers, FOR_GATEWAY: True}


async def _send_kept(kept: Kept, now: float, how: bytes, scope: Any, asked: Asked, send: Send) -> None:
    known = asked.headers.get(b"if-none-match")
    headers = [*kept.headers, (b"age", b"%d" % max(now - kept.made, 0)), (b"cache-status", how)]
    if known is not None and unchanged(kept.etag, known):
        headers = [header for header in headers if header[0] not in (b"content-type", b"content-length")]
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["method"] == "HEAD" and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % len(kept.body)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else kept.body})


async def _tell(made: Made, now: float, first: bool, scope: Any, asked: Asked, send: Send) -> None:
    how = b"Torg; fwd=miss; fwd-status=%d%b%b" % (made.status, b"; stored" if made.stored else b"", b"" if first else b"; collapsed")
    if made.kept is not None:
        await _send_kept(made.kept, now, how, scope, asked, send)
        return
    await send({"type": "http.response.start", "status": made.status, "headers": [*made.headers, (b"cache-status", how)]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else made.body})
