"""Addresses of the web that others have named: what they are, before anything is sent there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})


def is_web(uri: str) -> bool:
    """Over TLS, with no name or password, no fragment, and nothing that programs read in different ways."""
    parts = _parts(uri)
    return parts is not None and parts[0] == "https" and bool(parts[1])


def is_loopback(uri: str) -> bool:
    """Plain HTTP on the machine itself."""
    parts = _parts(uri)
    return parts is not None and parts[0] == "http" and parts[1] in LOOPBACK


def without_port(uri: str) -> str:
    """An address on the machine itself, whatever its port (RFC 8252, section 7.3); others as they are."""
    if not is_loopback(uri):
        return uri
    parts = urlsplit(uri)
    host = parts.hostname or ""
    return parts._replace(netloc=f"[{host}]" if ":" in host else host).geturl()


def origin_of(uri: str) -> str:
    """Scheme and host, or the scheme alone where there is no host."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("https", "http") else f"{parts.scheme}:"


def with_query(uri: str, values: Mapping[str, str]) -> str:
    """With these added to its query."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(values)}" if values else uri


def _parts(uri: str) -> tuple[str, str] | None:
    """Scheme and host of an address that may be registered."""
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return None
    fine = uri.isascii() and uri.isprintable() and not set(uri) & set(' #*\\"<>') and not parts.username and not parts.password
    return (parts.scheme, parts.hostname or "") if fine else None
