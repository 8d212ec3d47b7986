"""Letters: what they say, how they go on the wire, and the port through which they leave."""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, parseaddr
from functools import cache
from typing import Literal, Protocol

_LINE = re.compile(r"[\r\n\x00]+")
_WORD_BYTES = 42  # of UTF-8 in one encoded word, so that it stays below 75 characters (RFC 2047)
_FOLD = "\r\n "  # goes on in the next line
_BODY_LINE = 76  # characters of base64 (RFC 2045)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A letter as it is sent: the same in plain text and in HTML."""

    id: str
    to: str
    to_name: str
    language: str
    at: datetime
    subject: str
    text: str
    html: str


@dataclass(frozen=True)
class Posted:
    """What became of a letter: `sent`; `deferred`, so try again later; or `refused`, for good. `detail` says why not."""

    outcome: Literal["sent", "deferred", "refused"]
    detail: str = ""


SENT = Posted("sent")


class Mailer(Protocol):
    """Takes letters on their way. Never raises for a single letter: its outcome says what became of it."""

    async def send(self, letters: Sequence[Letter]) -> Sequence[Posted]:
        """One outcome for each letter, in their order. Sending a letter again under the same id makes no second one where the receiver knows ids."""
        ...

    async def check(self) -> str:
        """An empty text while letters can leave, else what is wrong."""
        ...

    async def close(self) -> None: ...


def wire(letter: Letter, sender: str) -> bytes:
    """The letter as an Internet message (RFC 5322, 2045): plain text first, HTML as the better alternative, everything in UTF-8.

    Put together by hand: `email.message.EmailMessage` takes a millisecond for one, this takes ten microseconds."""
    name, address = _parsed(sender)
    boundary = f"=_{letter.id}"
    head = (
        ("From", _mailbox(name, address)),
        ("To", _mailbox(letter.to_name, letter.to)),
        ("Subject", _words(letter.subject)),
        ("Date", format_datetime(letter.at)),
        ("Message-ID", f"<{letter.id}@{address.rpartition('@')[2]}>"),
        ("Content-Language", letter.language),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", f'multipart/alternative;{_FOLD}boundary="{boundary}"'),
    )
    parts = (_part(boundary, "plain", letter.text), _part(boundary, "html", letter.html))
    lines = "".join(f"{name}: {value}\r\n" for name, value in head)
    return lines.encode("ascii", "replace") + b"\r\n" + b"".join(parts) + f"--{boundary}--\r\n".encode()


@cache
def _parsed(sender: str) -> tuple[str, str]:
    return parseaddr(sender)


def _part(boundary: str, subtype: str, content: str) -> bytes:
    head = f'--{boundary}\r\nContent-Type: text/{subtype}; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    data = b2a_base64(content.encode(), newline=False)
    return head.encode() + b"\r\n".join([data[at : at + _BODY_LINE] for at in range(0, len(data), _BODY_LINE)]) + b"\r\n"


def _mailbox(name: str, address: str) -> str:
    plain, words = _LINE.sub(" ", address).strip(), _words(name)
    if not name:
        return plain
    return f"{words}{' ' if words == name else _FOLD}<{plain}>"


def _words(text: str) -> str:
    """A header's text: as it is when that is safe, else in encoded words, each of whole characters."""
    text = _LINE.sub(" ", text)
    if text.isascii() and not set(text) & set('"<>()[],;:\\@=?') and len(text) < 60:
        return text
    chunks, chunk = list[bytes](), b""
    for letter in text:
        encoded = letter.encode("utf-8", "replace")
        if len(chunk) + len(encoded) > _WORD_BYTES:
            chunks.append(chunk)
            chunk = b""
        chunk += encoded
    return _FOLD.join(f"=?utf-8?b?{b64encode(part).decode()}?=" for part in [*chunks, chunk])
