"""Cursors: where a page ended. Opaque to callers, checked when they come back."""

from __future__ import annotations

import base64
import zlib

import msgspec

from torg.contexts.catalog.adapters.index_tantivy.words import words_of
from torg.contexts.catalog.ports import BadCursor, SearchRequest

LONGEST = 100


class Place(msgspec.Struct, frozen=True, array_like=True):
    """The last product of a page: its tier of relevance and its sort key. `search` is the search's fingerprint."""

    search: int
    tier: int
    key: int


def fingerprint(request: SearchRequest) -> int:
    """The same for all pages of a search: page size and language may change on the way."""
    filters = (request.category, request.brand, request.price_min, request.price_max, request.in_stock, request.rating_min)
    return zlib.crc32(msgspec.json.encode((words_of(request.text), filters, request.sort)))


def cursor_for(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.msgpack.encode(place)).rstrip(b"=").decode()


def place_of(cursor: str, request: SearchRequest) -> Place:
    if len(cursor) > LONGEST:
        raise BadCursor("the cursor is longer than any that this index makes")
    try:
        place = msgspec.msgpack.decode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True), type=Place)
    except (ValueError, msgspec.DecodeError) as error:
        raise BadCursor("the cursor was not made by this index") from error
    if place.search != fingerprint(request):
        raise BadCursor("the cursor belongs to another search; keep query, filters and sort as they were")
    if place.tier < 0 or not 0 <= place.key < 1 << 63:
        raise BadCursor("the cursor was not made by this index")
    return place
