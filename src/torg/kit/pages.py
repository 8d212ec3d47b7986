"""Pages of long lists. A cursor is the place of the last row that was shown, so that rows added meanwhile are neither repeated nor left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from torg.kit.errors import FieldError, Invalid
from torg.kit.sql import Row
from torg.kit.values import is_id, moment, stamp

T = TypeVar("T")
Page = tuple[Sequence[T], str | None]
"""Some of a list, and the cursor of what comes next; None at its end. Whoever gives one raises Invalid for a cursor of another make."""

BEYOND_NUMBERS: Final = 2**62
BEYOND_IDS: Final = "g"  # follows every hexadecimal digit, in any collation


def cut(rows: Sequence[Row], limit: int, show: Callable[[Row], T], *key: str) -> Page[T]:
    """The page of rows that were read with one more than `limit`: each as `show` reads it, and the last one's `key` columns as the cursor."""
    shown = rows[:limit]
    cursor = "/".join(str(shown[-1][column]) for column in key) if len(rows) > limit else None
    return [show(row) for row in shown], cursor


def after_time(cursor: str) -> tuple[str, str]:
    """The stamp and id that a list by time goes on behind, both empty at its beginning. Raises Invalid."""
    at, _, id = cursor.partition("/")
    try:
        return (stamp(moment(at)), id) if cursor else ("", "")
    except ValueError:
        raise foreign_cursor() from None


def after_number(cursor: str) -> tuple[int, str]:
    """The number (and id, where there is one) that a list by falling numbers goes on behind, one beyond all at its beginning. Raises Invalid."""
    number, _, id = cursor.partition("/")
    try:
        found = int(number) if cursor else BEYOND_NUMBERS
    except ValueError:
        raise foreign_cursor() from None
    if abs(found) > BEYOND_NUMBERS:
        raise foreign_cursor()
    return found, id


def after_id(cursor: str) -> str:
    """The id that a list by falling ids goes on behind, one beyond all at its beginning. Raises Invalid."""
    if cursor and not is_id(cursor):
        raise foreign_cursor()
    return cursor or BEYOND_IDS


def foreign_cursor() -> Invalid:
    """The refusal of a cursor that this list has not given."""
    return Invalid.fields(FieldError("cursor", "invalid", "pass next_cursor of the page before, unchanged"))
