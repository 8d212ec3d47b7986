"""How cookies are called: the one place that decides it."""

from __future__ import annotations

HOST = "__Host-"
"""Browsers take a cookie of this beginning over HTTPS alone, for the whole of one host and for no other (RFC 6265bis, section 4.1.3.2)."""


def cookie_name(name: str, secure: bool) -> str:
    """`secure`: the shop is served over HTTPS. Over plain HTTP, as on a laptop, browsers would refuse the prefix."""
    return f"{HOST}{name}" if secure else name


def is_secure(public_url: str) -> bool:
    """Whether people reach the shop over HTTPS, whatever a proxy before it makes of that."""
    return public_url.startswith("https:")
