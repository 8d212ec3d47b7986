"""Cursors: where a page ended. Opaque to callers, checked when they come back."""

from __future__ import annotations

import base64
import zlib
from typing import TypeVar

import msgspec

from torg.contexts.catalog.adapters.index_common.words import words_of
from torg.contexts.catalog.ports import BadCursor, SearchRequest

LONGEST = 300


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The last product of a page, for an engine to add how it finds it again. `search` is the search's fingerprint."""

    search: int


P = TypeVar("P", bound=Place)


def fingerprint(request: SearchRequest) -> int:
    """The same for all pages of a search: page size and language may change on the way."""
    filters = (request.category, request.brand, request.price_min, request.price_max, request.in_stock, request.rating_min)
    return zlib.crc32(msgspec.json.encode((words_of(request.text), filters, request.sort)))


def cursor_for(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).rstrip(b"=").decode()


def place_of(cursor: str, request: SearchRequest, kind: type[P]) -> P:
    """Raises BadCursor."""
    if len(cursor) > LONGEST:
        raise BadCursor("the cursor is longer than any that this index makes")
    try:
        place = msgspec.msgpack.decode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True), type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("the cursor was not made by this index") from error
    if place.search != fingerprint(request):
        raise BadCursor("the cursor belongs to another search; keep query, filters and sort as they were")
    return place
