"""How paths are decoded: once, by whoever serves, and alike by all who look at them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_SLASH: Final = re.compile(rb"%2[Ff]")


def unquote(raw: bytes) -> str:
    """A path, decoded but for slashes: one that was encoded is a sign within a segment and parts none, so that all who look at a path see the same segments."""
    if b"%" not in raw:
        return raw.decode("utf-8", "replace")
    return "%2F".join([unquote_to_bytes(part).decode("utf-8", "replace") for part in _SLASH.split(raw)])
