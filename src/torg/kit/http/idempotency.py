"""Idempotency keys: the first answer to a key is filed in the commit of its effect, and its exact bytes are sent again.

After the IETF draft "The Idempotency-Key HTTP Header Field": the same key with another body is 422, one still being answered is 409."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from torg.kit import card_numbers
from torg.kit.errors import ConcurrentChange, DomainError, Invalid, Malformed
from torg.kit.http.request import Request, Response
from torg.kit.store import Answer, AwaitedAnswer, awaited_answer

if TYPE_CHECKING:
    from torg.kit.http.shared_keys import SharedKeys

Render = Callable[[object], Response]
UNFILED = (401, 403, 429)  # refusals that say nothing about the request itself; nor does ConcurrentChange, which asks to try again


class Awaited:
    """One keyed request under way; handlers file its answer through `Transaction.answer`."""

    def __init__(self, caller: str, key: str, fingerprint: str, render: Render | None) -> None:
        self.caller, self.key, self.fingerprint, self.filed = caller, key, fingerprint, False
        self.answer: Answer | None = None
        self._render = render or _own_response

    def render(self, reply: object) -> Answer:
        response = reply if isinstance(reply, Response) else self._render(reply)
        headers = tuple((name.decode(), value.decode()) for name, value in response.headers if name != b"set-cookie")  # may hold a session
        self.answer = Answer(response.status, headers, response.body.decode())
        return self.answer


class Answers(Protocol):
    """Where a context keeps what it answered."""

    context: str

    async def answered(self, caller: str, key: str) -> tuple[str, Answer] | None:
        """The fingerprint and answer filed under a caller's key, if any."""
        ...

    async def file_answer(self, awaited: AwaitedAnswer, reply: object) -> None:
        """Files an answer in a commit of its own. Raises ConcurrentChange."""
        ...


class Keys:
    """The keys of one context's requests; `shared` where other processes answer for them as well."""

    def __init__(self, store: Answers, secret: bytes, shared: SharedKeys | None = None) -> None:
        self._store, self._secret, self._shared = store, secret, shared
        self._running: set[tuple[str, str]] = set()

    async def once(
        self, request: Request, key: str, work: Callable[[], Awaitable[Response]], render: Render | None, problem: Callable[[DomainError], Response]
    ) -> Response:
        """Does the work unless this key was answered before. Without `render` the work is other contexts': its answer is filed when they are done.
        Raises DomainError 409 or 422."""
        if not (1 <= len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key):
            raise Malformed("idempotency.key", "an Idempotency-Key has 1 to 255 visible ASCII characters")
        if card_numbers.is_in(key):  # a number of sixteen digits may look like one
            key = hashlib.blake2b(key.encode(), digest_size=32, key=self._secret).hexdigest()
        asked = b"\0".join((request.method.encode(), request.path.encode(), await request.body()))
        # keyed: a body may hold a password, and a stolen store must not let anybody guess at it
        fingerprint = hashlib.blake2b(asked, digest_size=32, key=self._secret).hexdigest()
        caller = request.identity.user_id if request.identity else f"guest:{fingerprint}"
        if (caller, key) in self._running:
            raise ConcurrentChange("idempotency.in_progress", "a request with this Idempotency-Key is being answered; ask again in a moment")
        self._running.add((caller, key))
        awaited, handed_on = Awaited(caller, key, fingerprint, render), render is not None
        try:
            if self._shared is not None:
                return await self._in_turn(self._shared, awaited, lambda: self._first(awaited, work, problem, handed_on))
            return await self._first(awaited, work, problem, handed_on)
        finally:
            self._running.discard((caller, key))

    async def _in_turn(self, shared: SharedKeys, awaited: Awaited, first: Callable[[], Awaitable[Response]]) -> Response:
        turn = await shared.begin(self._store.context, awaited.caller, awaited.key)
        if isinstance(turn, tuple):
            return _replay(awaited.fingerprint, *turn)
        if turn is None:
            return await first()
        try:
            return await first()
        finally:
            await shared.end(turn, (awaited.fingerprint, awaited.answer) if awaited.filed and awaited.answer else None)

    async def _first(self, awaited: Awaited, work: Callable[[], Awaitable[Response]], problem: Callable[[DomainError], Response], handed_on: bool) -> Response:
        if before := await self._store.answered(awaited.caller, awaited.key):
            return _replay(awaited.fingerprint, *before)
        token = awaited_answer.set(awaited if handed_on else None)
        try:
            response = await work()
        except DomainError as refusal:
            if refusal.status in UNFILED or awaited.filed or isinstance(refusal, ConcurrentChange):
                raise
            response = problem(refusal)
        finally:
            awaited_answer.reset(token)
        if not awaited.filed:  # nothing was changed (a refusal), or by another context: file it on its own
            await self._store.file_answer(awaited, response)
        return response


def _own_response(reply: object) -> Response:
    raise TypeError(f"{type(reply).__name__} is no Response, and this route has no other way to show it")


def _replay(fingerprint: str, filed_for: str, answer: Answer) -> Response:
    if fingerprint != filed_for:
        raise Invalid("idempotency.other_body", "this Idempotency-Key was used with another request; make a new key")
    headers = [(name.encode(), value.encode()) for name, value in answer.headers]
    return Response(answer.status, answer.body.encode(), [*headers, (b"idempotent-replayed", b"true")])
