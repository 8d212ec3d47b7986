"""Addresses of pages."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode


def link(path: str, values: Mapping[str, object] | None = None, **more: object) -> str:
    """A path with its query; what is empty or None is left out, and `more` goes before `values`."""
    given = {name.rstrip("_"): value for name, value in {**(values or {}), **more}.items()}
    query = urlencode({name: value for name, value in given.items() if value not in ("", None)})
    return f"{path}?{query}" if query else path
