"""Parts that statements are put together from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

T = TypeVar("T")
AT_ONCE: Final = 500  # parameters of one statement: far below any engine's limit


def listed(values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """`:v0, :v1` for an `in (…)`, and the values by these names; of no values, a list that nothing is in."""
    parameters = {f"v{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{name}" for name in parameters) or "null", parameters


def portions(values: Iterable[T], size: int = AT_ONCE) -> Iterator[tuple[T, ...]]:
    """The values in their order, so many at a time."""
    rest = iter(values)
    while portion := tuple(islice(rest, size)):
        yield portion


def where(*conditions: tuple[str, object]) -> str:
    """Those conditions whose value is given (true), joined by `and`; where none is, one that always holds."""
    return " and ".join(condition for condition, given in conditions if given) or "1 = 1"
