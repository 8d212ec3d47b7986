"""A request and a response, apart from the server's protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from torg.kit import card_numbers
from torg.kit.auth import Identity
from torg.kit.errors import FieldError, Invalid, Malformed, TooLarge
from torg.kit.http.cookies import cookie_name
from torg.kit.values import Language

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
MAX_BODY = 1 << 20  # bytes
LONGEST_CARD = 256  # bytes that a card number takes, however it is written
THROWN_AWAY, PATIENCE = 4 << 20, 2.0  # bytes and seconds of a body that is too large anyway
CARD: Final = "card.not_here"
"""The code of a refusal of what comes with a card number."""


@dataclass(slots=True)
class Request:
    """One HTTP request as a handler's edge sees it; the identity is set before an endpoint runs; `before`: what it is about to
    change; `secure`: the shop is served over HTTPS."""

    method: str
    path: str
    query_string: bytes
    headers: dict[bytes, bytes]
    receive: Callable[[], Awaitable[Any]]
    id: str
    scheme: str = "http"
    client: str = ""
    path_values: dict[str, str] = field(default_factory=dict)
    identity: Identity | None = None
    before: bytes = b""
    told: bytes = b""
    secure: bool = False
    takes_cards: bool = False
    _body: bytes | None = None
    _cookies: dict[str, str] | None = None

    def header(self, name: str) -> str:
        """A header's text, empty when absent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query's fields; the last one wins where a name comes twice. Raises Malformed for bytes that are not UTF-8, Invalid for a card number."""
        try:
            given = dict(parse_qsl(self.query_string.decode("ascii"), keep_blank_values=True, max_num_fields=100, errors="strict"))
        except ValueError as error:
            raise Malformed("query.malformed", f"the query cannot be read as UTF-8 name=value pairs: {error}") from error
        return self._without_cards(given)

    def cookies(self) -> dict[str, str]:
        """By name, read as browsers send them (RFC 6265, section 5.4): one that others on this host have set in their own way hides none of ours."""
        if self._cookies is None:
            pairs = (part.partition("=") for part in self.header("cookie").split(";"))
            self._cookies = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
        return self._cookies

    def cookie(self, name: str) -> str:
        return self.cookies().get(cookie_name(name, self.secure), "")

    def language(self, default: Language = Language.EN) -> Language:
        """The cookie's choice, else the first of Accept-Language that the shop speaks, else the default."""
        chosen = self.cookie("language") if b"cookie" in self.headers else ""
        return first_spoken(chosen) or first_spoken(self.header("accept-language")) or default

    async def body(self, limit: int = MAX_BODY) -> bytes:
        """The whole body. Raises TooLarge as soon as more than `limit` bytes have come, Invalid for a card number."""
        if self._body is None:
            if int(self.header("content-length") or 0) > limit:
                raise await self._too_large(limit)
            first = await self.receive()  # most bodies come in one piece
            if first["type"] != "http.request" or first.get("more_body") or len(first.get("body", b"")) > limit:
                self._body = b"".join([chunk async for chunk in self._chunks(limit, first)])
            else:
                self._body = first.get("body", b"")
            if not self.takes_cards and card_numbers.found(self._body):
                raise _card_not_here()
        return self._body

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes in, `limit` bytes at most. Raises Invalid where a card number has come."""
        last = b""
        async for chunk in self._chunks(limit, await self.receive()):
            if card_numbers.found(last + chunk):
                raise _card_not_here()
            last = (last + chunk)[-LONGEST_CARD:]
            yield chunk

    async def _chunks(self, limit: int, message: Any) -> AsyncIterator[bytes]:
        size = 0
        while message["type"] == "http.request":
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise await self._too_large(limit, message)
            yield chunk
            if not message.get("more_body", False):
                return
            message = await self.receive()
        raise Malformed("body.incomplete", "the connection ended before the body did")

    async def _too_large(self, limit: int, last: Any = None) -> TooLarge:
        """What to raise, once the rest is read and thrown away: clients listen when all is sent, and would hear of a closed connection instead. One that
        sends far too much, or slowly, hears just that."""
        message, left = last or {"type": "http.request", "more_body": True}, THROWN_AWAY
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while left > 0 and message["type"] == "http.request" and message.get("more_body"):
                    message = await self.receive()
                    left -= len(message.get("body", b""))
        return TooLarge("body.too_large", f"a body may have {limit} bytes at most")

    async def form(self) -> dict[str, str]:
        """An HTML form's fields (application/x-www-form-urlencoded)."""
        try:
            given = dict(parse_qsl((await self.body()).decode(), keep_blank_values=True, max_num_fields=200))
        except ValueError as error:
            raise Malformed("form.malformed", f"the form cannot be read: {error}") from error
        return self._without_cards(given)

    def refuse_card_in_target(self) -> None:
        """Before the path is looked for, told or logged, and before an answer is kept for it; from now on the path is without the number. Raises Invalid."""
        if len(self.path) > card_numbers.FEWEST and card_numbers.found(self.path.encode("utf-8", "replace")):
            self.path = card_numbers.masked(self.path)
            raise _card_not_here()
        if card_numbers.may_be_in(self.query_string) and card_numbers.is_in(unquote_plus(self.query_string.decode("latin-1"))):
            with suppress(Malformed):
                self.query()  # names the field
            raise _card_not_here()

    def _without_cards(self, given: dict[str, str]) -> dict[str, str]:
        if not self.takes_cards:
            for name, value in given.items():
                if len(value) >= card_numbers.FEWEST and card_numbers.is_in(value):
                    raise _card_not_here(name)
        return given


def _card_not_here(field: str = "") -> Invalid:
    """What was typed is not said again. It came before anything was stored or logged."""
    detail = "there is a card number in it: card numbers belong on the acquirer's page, where a card is paid with, and nowhere else"
    return Invalid(CARD, detail, (FieldError(field, "card", detail),) if field else ())


def first_spoken(accepted: str) -> Language | None:
    """The first language of an Accept-Language header that the shop speaks (RFC 9110, section 12.5.4; clients list by preference)."""
    for part in accepted.split(","):
        if (tag := part.strip()[:2].lower()) in ("en", "ru"):
            return Language(tag)
    return None


@dataclass(slots=True)
class Response:
    """An answer: bytes at once, or a stream."""

    status: int = 200
    body: bytes = b""
    headers: Headers = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None

    @classmethod
    def html(cls, text: str, status: int = 200) -> Response:
        return cls(status, text.encode(), [(b"content-type", b"text/html; charset=utf-8")])

    @classmethod
    def see_other(cls, where: str) -> Response:
        """Sends a browser on after a form (303)."""
        return cls(303, b"", [(b"location", where.encode())])

    def with_cookie(self, name: str, value: str, max_age: int, secure: bool) -> Response:
        """Sets an HttpOnly, SameSite=Lax cookie; max_age in seconds, 0 removes it."""
        text = f"{cookie_name(name, secure)}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
        self.headers.append((b"set-cookie", text.encode()))
        return self
