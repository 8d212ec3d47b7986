"""What no log line, span or answer may hold, taken out of it: secrets by the names they stand under and by how they look, and card numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from torg.kit import card_numbers
from torg.kit.errors import FieldError, Problem

REMOVED: Final = "[secret]"
_NAMES: Final = re.compile(r"(?i)authorization|cookie|passw|secret|token|api_?key|verifier|credential|private|otp|recovery")
_PLAIN: Final = frozenset({"token_type", "key_id", "prefix"})
_LOOKS: Final = re.compile(
    r"(?i:bearer|basic|dpop) (?=[\w.~+/-]*[\d=]|[\w.~+/-]{24})[\w.~+/=-]{8,}"  # words alone are none
    r"|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*"  # a signed or sealed token (RFC 7515, RFC 7516)
    r"|\btorg_[\w-]{12,}"  # an API key
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"  # what an address says of who asks
    r"|(?i:(?<=password=)|(?<=secret=)|(?<=token=)|(?<=code=))[^\s&'\"]+"
)

_SAID: Final = re.compile(r"(?i)((?:passw\w*|secret|token|api_?key)[\"']\s*:\s*[\"'])[^\"']+")
"""As JSON and Python write what stands under names."""


def scrub(_: Any, __: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor."""
    return scrubbed(event)


def scrubbed(values: Mapping[str, Any]) -> dict[str, Any]:
    """What stands under names, without secrets and card numbers."""
    return {name: _scrubbed(name, value) for name, value in values.items()}


def shown(problem: Problem) -> Problem:
    """A problem as it may be shown: it may say again what somebody sent, but no secret and no card number."""
    errors = tuple(FieldError(clean(error.field), error.code, clean(error.detail)) for error in problem.errors)
    return msgspec.structs.replace(problem, detail=clean(problem.detail), errors=errors)


def clean(text: str) -> str:
    """The text without secrets and card numbers that can be told by their looks."""
    text = _SAID.sub(rf"\1{REMOVED}", _LOOKS.sub(REMOVED, text))
    return card_numbers.masked(text) if card_numbers.is_in(text) else text


def _scrubbed(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return REMOVED if value and _NAMES.search(name) and name not in _PLAIN else clean(value)
    if isinstance(value, bytes):
        return _scrubbed(name, value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return {key: _scrubbed(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_scrubbed(name, inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else clean(str(value))
