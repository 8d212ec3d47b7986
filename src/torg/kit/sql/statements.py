"""Statements with :named parameters, as other engines want them: numbered for PostgreSQL's protocol, or rewritten."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

# a literal, or a name behind a single colon: '…' and casts by :: are left alone
_PART = re.compile(r"'(?:[^']|'')*'|(?<!:):([A-Za-z_]\w*)")


@lru_cache(maxsize=4096)
def numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with $1, $2 …, and the names in that order."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        name = found.group(1)
        return f"${names.setdefault(name, len(names) + 1)}" if name else found.group()

    return _PART.sub(number, statement), tuple(names)


def rewritten(statement: str, write: Callable[[str], str]) -> str:
    """The statement with each :name as `write` has it."""
    return _PART.sub(lambda found: write(found.group(1)) if found.group(1) else found.group(), statement)


def values(names: tuple[str, ...], parameters: Mapping[str, Any]) -> list[Any]:
    """In the statement's order. Raises KeyError for one that is missing."""
    return [parameters[name] for name in names]
