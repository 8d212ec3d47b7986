"""What keeps an answer from doing more than it should: the headers of all that is answered outside. Nothing inline runs or styles, but what a template
has itself, by its hash; nothing comes from elsewhere; nobody frames a page."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import unescape
from typing import Final

from torg.kit.http.request import Headers, Response

POLICY: Final = b"content-security-policy"
UNUSED: Final = ("accelerometer", "camera", "display-capture", "geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment", "serial", "usb")
ALWAYS: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
FOR_PAGES: Final[Headers] = [
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", ", ".join(f"{feature}=()" for feature in UNUSED).encode()),
]
FOR_DATA: Final = (POLICY, b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
DOCUMENT: Final[Headers] = [*ALWAYS, FOR_DATA]
"""What comes with an answer that is no page."""
BY_NOBODY: Final = (b"cache-control", b"no-store")
BY_ITS_READER: Final = (b"cache-control", b"private, no-cache")
BY_ANYBODY: Final = (b"cache-control", b"public, no-cache")
"""Who may keep an answer (RFC 9111). Nobody shows one again without asking whether it has changed since (304): a price is not to be older than a second."""
OVER_HTTPS: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")
_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)
_ATTRIBUTE: Final = re.compile(r"""\sstyle="([^"]*)\"""")


def policy(sends_to: str = "", styles: str = "'self'", scripts: str = "'self'", images: str = "'self'") -> tuple[bytes, bytes]:
    """A page's content security policy. `sends_to`: where else than here its forms may lead; `styles`: what `styles_of` its template gave."""
    return POLICY, (
        f"default-src 'none'; object-src 'none'; script-src {scripts}; style-src {styles}; img-src {images}; connect-src 'self'; manifest-src 'self'; "
        f"form-action 'self'{f' {sends_to}' if sends_to else ''}; base-uri 'none'; frame-ancestors 'none'"
    ).encode()


def styles_of(*templates: str) -> str:
    """What a policy says of the styles that stand in the text of templates themselves, by their hashes; what comes in from elsewhere has none."""
    sheets = [sheet for text in templates for sheet in _STYLE.findall(text)]
    attributes = [unescape(style) for text in templates for style in _ATTRIBUTE.findall(text)]
    return " ".join(["'unsafe-hashes'"] * bool(attributes) + [_hashed(style) for style in dict.fromkeys([*sheets, *attributes])])


def _hashed(style: str) -> str:
    return f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"


def guard(response: Response, secure: bool, kept: tuple[bytes, bytes] = BY_NOBODY) -> None:
    """Adds what the answer does not say itself. `secure`: browsers are never to come but over HTTPS. `kept`: by whom a good one may be."""
    shown = stated = said = False
    for name, value in response.headers:
        if name == b"content-type":
            shown = value.startswith(b"text/html")
        elif name == POLICY:
            stated = True
        elif name == b"cache-control":
            said = True
    response.headers += ALWAYS
    if not said:
        response.headers.append(kept if response.status == 200 else BY_NOBODY)
    if not stated:
        response.headers.append(policy() if shown else FOR_DATA)
    if shown:
        response.headers += FOR_PAGES
    if secure:
        response.headers.append(OVER_HTTPS)
