"""Parts that statements are put together from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

AT_ONCE: Final = 500  # parameters of one statement: far below any engine's limit


def listed(values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """`:v0, :v1` for an `in (…)`, and the values by these names; of no values, a list that nothing is in."""
    parameters = {f"v{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{name}" for name in parameters) or "null", parameters


def where(*conditions: tuple[str, object]) -> str:
    """Those conditions whose value is given (true), joined by `and`; where none is, one that always holds."""
    return " and ".join(condition for condition, given in conditions if given) or "1 = 1"
