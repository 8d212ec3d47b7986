"""Which answers are kept at the gateway, for how long, and to which questions they are the answer (RFC 9111, RFC 5861, RFC 9213)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from torg.contexts.gateway.model.paths import fault_of_path
from torg.kit.http.cache import CONTROL, TAGS
from torg.kit.http.request import Headers
from torg.kit.rpc.bounds import Seconds

LARGEST: Final = 1 << 20  # bytes of an answer that is kept
SETTLING: Final = 0.5  # seconds after a change in which an answer may be of what was before: of an instance, a replica, a context that has yet to hear
LEFT_OUT: Final = frozenset({b"age", b"cache-status", b"x-request-id", CONTROL, TAGS})
"""Said of one answer alone, or to gateways alone."""
ALWAYS_VARIED: Final = frozenset({b"accept-language", b"cookie", b"authorization", b"x-api-key"})
"""What every key has in it, or what keeps a request from being given a kept answer."""
FAILED: Final = frozenset({500, 502, 503, 504})
"""After these an answer that is too old is better than none (RFC 5861, section 4)."""
_NUMBER: Final = re.compile(rb"\d{1,9}")


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the table of kept answers; as short as the context says, if that is shorter."""

    fresh: Seconds
    stale: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    away: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    cookies: Literal["bypass", "ignored"] = "bypass"
    on: bool = True


class Key(NamedTuple):
    """What an answer is the answer to. `varied`: the values of the headers by which answers to it differ."""

    host: bytes
    path: bytes
    query: bytes
    russian: bool
    varied: tuple[bytes, ...] = ()


class Terms(NamedTuple):
    """How an answer may be kept: fresh for so many seconds, under these tags; `stale`: also when it is older."""

    seconds: float
    tags: tuple[str, ...]
    varies: tuple[bytes, ...]
    stale: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, by a clock that only goes forward: fresh, then good while it is asked anew, then while nobody answers. `made`: when it was asked for."""

    headers: Headers
    body: bytes
    etag: bytes
    tags: tuple[str, ...]
    made: float
    fresh: float
    stale: float
    away: float
    cookies: bool
    """Whether those with cookies are given it as well."""

    def until(self, moment: float) -> Kept:
        """The same, and no longer than that."""
        return replace(self, fresh=min(self.fresh, moment), stale=min(self.stale, moment), away=min(self.away, moment))


def kept_of(headers: Headers, body: bytes, terms: Terms, keep: Keep, made: float) -> Kept:
    fresh = made + min(keep.fresh, terms.seconds)
    stale = fresh + (keep.stale if terms.stale else 0)
    shown = [header for header in headers if header[0] not in LEFT_OUT]
    return Kept(shown, body, _header(headers, b"etag"), terms.tags, made, fresh, stale, stale + (keep.away if terms.stale else 0), keep.cookies == "ignored")


def terms_of(status: int, headers: Headers) -> Terms | None:
    """None for an answer that is not everybody's, or whose context does not agree."""
    names = {name for name, _ in headers}
    varies = [name.strip().lower() for header, value in headers if header == b"vary" for name in value.split(b",")]
    if status != 200 or b"set-cookie" in names or b"*" in varies:
        return None
    said = _directives(headers, CONTROL if CONTROL in names else b"cache-control")
    if {b"no-store", b"private", b"no-cache"} & said.keys():
        return None
    seconds = _seconds(said.get(b"s-maxage", said.get(b"max-age", b"")))
    seconds -= 0 if CONTROL in names else _seconds(_header(headers, b"age"))
    if seconds <= 0 or (CONTROL not in names and not {b"public", b"s-maxage"} & said.keys()):
        return None
    tags = tuple(_header(headers, TAGS).decode("latin-1").split())
    strict = {b"must-revalidate", b"proxy-revalidate", b"s-maxage"} & said.keys()
    return Terms(seconds, tags, tuple(sorted({name for name in varies if name} - ALWAYS_VARIED)), not strict)


def is_private(headers: Headers) -> bool:
    """Whether an answer that is not kept may not be given to anybody else who asks for the same at the same time either."""
    names = {name for name, _ in headers}
    return b"set-cookie" in names or bool({b"private", b"no-store"} & _directives(headers, b"cache-control").keys())


def unchanged(etag: bytes, known: bytes) -> bool:
    """Whether a client that knows these (If-None-Match) has the answer already: compared weakly (RFC 9110, section 13.1.2)."""
    if not etag or not known:
        return False
    return known.strip() == b"*" or etag.removeprefix(b"W/") in {one.strip().removeprefix(b"W/") for one in known.split(b",")}


def faults_of_keeping(keeps: Mapping[str, Keep], of_services: Callable[[str], bool]) -> Iterable[str]:
    for path, keep in keeps.items():
        place = f'[kept] "{path}"'
        if fault := fault_of_path(path):
            yield f"{place}: {fault}"
        elif of_services(path):
            yield f"{place}: a service beside the shop answers there, and tells nobody what changes: its answers are not kept"
        if keep.cookies == "ignored" and path == "/":
            yield f'{place}: the page of somebody who has signed in is theirs: leave out cookies = "ignored"'


def _directives(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> dict[bytes, bytes]:
    parts = [part.strip().partition(b"=") for header, value in headers if header == name for part in value.lower().split(b",")]
    return {word.strip(): value.strip().strip(b'"') for word, _, value in parts if word}


def _seconds(text: bytes) -> int:
    return int(text) if _NUMBER.fullmatch(text) else 0


def _header(headers: Headers, name: bytes) -> bytes:
    return next((value for key, value in headers if key == name), b"")
