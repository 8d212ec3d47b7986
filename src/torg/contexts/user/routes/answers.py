"""Headers that several answers have."""

from __future__ import annotations


def unkept(_: object) -> list[tuple[str, str]]:
    return [("Cache-Control", "no-store")]
