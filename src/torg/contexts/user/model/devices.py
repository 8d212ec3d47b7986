"""What somebody came with, as people would call it: "Firefox, Linux". More of what a browser tells of itself isn't kept."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from ipaddress import IPv4Address, ip_address
from typing import Final

from torg.kit import card_numbers

LONGEST: Final = 60  # characters of what names itself in another way
_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("YaBrowser", "Yandex Browser"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"), ("Chrome", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
"""In this order: most name those besides themselves that they want to be taken for."""
_SYSTEMS: Final = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Macintosh", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


FAMILIAR_FOR: Final = timedelta(days=180)  # since it was seen last


def device_of(user_agent: str) -> str:
    """Of a User-Agent header; a program's own name without its version, and nothing for none."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    if browser or system:
        return ", ".join(filter(None, (browser, system)))
    name = user_agent.partition("/")[0].strip()
    return name[:LONGEST] if name.isprintable() and not card_numbers.is_in(name) else ""


def network_of(address: str) -> str:
    """Roughly whose network an address belongs to: phones change theirs by the hour, and stay within."""
    try:
        found = ip_address(address)
    except ValueError:
        return ""
    found = found if isinstance(found, IPv4Address) else found.ipv4_mapped or found
    return found.packed[: 2 if isinstance(found, IPv4Address) else 4].hex()  # /16, /32


def familiar_hash(user_id: str, device: str, address: str) -> str:
    """What a sign-in is known again by: such a device, from such a network."""
    return hashlib.sha256(f"{user_id} {network_of(address)} {device}".encode()).hexdigest()
