"""A request and a response, apart from the server's protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from torg.kit.auth import Identity
from torg.kit.errors import Malformed, TooLarge
from torg.kit.values import Language

Headers = list[tuple[bytes, bytes]]
JSON = (b"content-type", b"application/json")
MAX_BODY = 1 << 20  # bytes


@dataclass(slots=True)
class Request:
    """One HTTP request as a handler's edge sees it; the identity is set before an endpoint runs."""

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
    _body: bytes | None = None
    _cookies: dict[str, str] | None = None

    def header(self, name: str) -> str:
        """A header's text, empty when absent."""
        return self.headers.get(name.encode(), b"").decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query's fields; the last one wins where a name comes twice. Raises Malformed for bytes that are not UTF-8."""
        try:
            return dict(parse_qsl(self.query_string.decode("ascii"), keep_blank_values=True, max_num_fields=100, errors="strict"))
        except ValueError as error:
            raise Malformed("query.malformed", f"the query cannot be read as UTF-8 name=value pairs: {error}") from error

    def cookies(self) -> dict[str, str]:
        """By name, read as browsers send them (RFC 6265, section 5.4): one that others on this host have set in their own way hides none of ours."""
        if self._cookies is None:
            pairs = (part.partition("=") for part in self.header("cookie").split(";"))
            self._cookies = {name.strip(): value.strip().strip('"') for name, _, value in pairs}
        return self._cookies

    def cookie(self, name: str) -> str:
        return self.cookies().get(name, "")

    def language(self, default: Language = Language.EN) -> Language:
        """The cookie's choice, else the first of Accept-Language that the shop speaks, else the default."""
        chosen = self.cookie("language") if b"cookie" in self.headers else ""
        return first_spoken(chosen) or first_spoken(self.header("accept-language")) or default

    async def body(self, limit: int = MAX_BODY) -> bytes:
        """The whole body. Raises TooLarge as soon as more than `limit` bytes have come."""
        if self._body is None:
            if int(self.header("content-length") or 0) > limit:
                raise TooLarge("body.too_large", f"a body may have {limit} bytes at most")
            first = await self.receive()  # most bodies come in one piece
            if first["type"] != "http.request" or first.get("more_body"):
                self._body = b"".join([chunk async for chunk in self._chunks(limit, first)])
            else:
                self._body = self._measured(first.get("body", b""), limit)
        return self._body

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """The body as it comes in, `limit` bytes at most."""
        async for chunk in self._chunks(limit, await self.receive()):
            yield chunk

    async def _chunks(self, limit: int, message: Any) -> AsyncIterator[bytes]:
        size = 0
        while message["type"] == "http.request":
            chunk = message.get("body", b"")
            size += len(chunk)
            yield self._measured(chunk, limit, size)
            if not message.get("more_body", False):
                return
            message = await self.receive()
        raise Malformed("body.incomplete", "the connection ended before the body did")

    @staticmethod
    def _measured(chunk: bytes, limit: int, size: int | None = None) -> bytes:
        if (len(chunk) if size is None else size) > limit:
            raise TooLarge("body.too_large", f"a body may have {limit} bytes at most")
        return chunk

    async def form(self) -> dict[str, str]:
        """An HTML form's fields (application/x-www-form-urlencoded)."""
        try:
            return dict(parse_qsl((await self.body()).decode(), keep_blank_values=True, max_num_fields=200))
        except ValueError as error:
            raise Malformed("form.malformed", f"the form cannot be read: {error}") from error


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

    def with_cookie(self, name: str, value: str, max_age: int, secure: bool, path: str = "/") -> Response:
        """Sets an HttpOnly, SameSite=Lax cookie; max_age in seconds, 0 removes it."""
        text = f"{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
        self.headers.append((b"set-cookie", text.encode()))
        return self
