"""What a request of the staff changed: the thing that its route is about, as it was and as it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import msgspec

from torg.kit.auth import STAFF, Role
from torg.kit.calls import Handle
from torg.kit.errors import DomainError, Unavailable
from torg.kit.http.binding import Binding
from torg.kit.http.request import Request, Response
from torg.kit.http.routes import Route
from torg.kit.messages import Message, encode
from torg.kit.values import Clock

Look = Callable[[Request], Awaitable[bytes]]
"""Reads what a request is about, as it is now; empty where that can't be told."""

WATCHED: Final = STAFF | {Role.PARTNER}
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LONGEST: Final = 8192  # bytes of each side that are filed
PERSONAL: Final = frozenset({"full_name", "email", "new_email", "birth_date", "street", "postcode"})
MASK: Final = "—"
NOTHING: Final = msgspec.Raw(b"")


class Change(msgspec.Struct, frozen=True):
    """The fields that differ, as JSON objects; empty where there was nothing, is nothing, or nobody can tell."""

    before: msgspec.Raw = NOTHING
    after: msgspec.Raw = NOTHING


UNCHANGED: Final = Change()


def is_watched(request: Request, route: Route) -> bool:
    """Whether the trail has a line for it: what staff, partners, and programs that act for anybody would change."""
    who = request.identity
    return route.audited and request.method not in SAFE and who is not None and (who.scopes is not None or not WATCHED.isdisjoint(who.roles))


def looking(route: Route, handle: Callable[[type[Message]], Handle], clock: Clock) -> Look | None:
    """How to read what a route is about; None where it does not say."""
    if route.about is None:
        return None
    binding, handler = Binding(replace(route, method="GET", message=route.about, endpoint=None, fill={}), clock), handle(route.about)

    async def look(request: Request) -> bytes:
        try:
            return encode(await handler(await binding.bind(request)))
        except (DomainError, Unavailable):
            return b""

    return look


async def change_of(request: Request, response: Response, route: Route, look: Look | None) -> Change:
    """What has come of a request: the thing before and after; what was answered, where nothing is said of a thing, or it is as it was."""
    if response.status >= 400:
        return UNCHANGED
    change = between(request.before, await look(request)) if look else UNCHANGED
    change = change if change != UNCHANGED else Change(after=_filed(_answered(request, response, route)))
    staffs = request.identity is not None and not WATCHED.isdisjoint(request.identity.roles)
    return change if staffs else Change(_impersonal(change.before), _impersonal(change.after))


def _impersonal(side: msgspec.Raw) -> msgspec.Raw:
    """What a program has changed for somebody, without what is theirs to have erased: lines of the trail stay as they are."""
    return _filed(_masked(_document(bytes(side))))


def _masked(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: MASK if name in PERSONAL and value else _masked(value) for name, value in document.items()}
    return [_masked(one) for one in document] if isinstance(document, list) else document


def _answered(request: Request, response: Response, route: Route) -> Any:
    """What the answer says; nothing where it must not be kept, unless the route says what of it is the reason."""
    secret = any(name.lower() == b"cache-control" and b"no-store" in value for name, value in response.headers)
    if secret and not (route.unfiled or request.told):
        return None
    said = _document(request.told or response.body)
    return {name: value for name, value in said.items() if name not in route.unfiled} if isinstance(said, dict) else said


def between(before: bytes, after: bytes) -> Change:
    """What differs of two JSON documents; of two objects, the fields that do."""
    was, now = _document(before), _document(after)
    if isinstance(was, dict) and isinstance(now, dict):
        differ = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        was, now = {name: was[name] for name in differ if name in was}, {name: now[name] for name in differ if name in now}
    return Change(_filed(was), _filed(now))


def _document(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.DecodeError:
        return None


def _filed(document: Any) -> msgspec.Raw:
    text = msgspec.json.encode(document) if document else b""
    return msgspec.Raw(text if len(text) <= LONGEST else msgspec.json.encode({"too_long": len(text)}))
