"""Much work, a portion at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def portions(values: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The values in their order, so many at a time."""
    rest = iter(values)
    while portion := tuple(islice(rest, size)):
        yield portion
