"""What the front door has to know of WebSocket (RFC 6455): whether an opening handshake is one, whether its answer is, and where a frame ends, so that it can
say good-bye between two of them."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Final

VERSION: Final = b"13"
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY: Final = 16  # bytes
GOING_AWAY: Final = (1001).to_bytes(2)
BYE: Final = b"\x88\x02" + GOING_AWAY
"""A close frame as a server says it."""
MASKED_BYE: Final = b"\x88\x82\x00\x00\x00\x00" + GOING_AWAY
"""… and as a client does."""


def fault_of_opening(method: str, headers: Mapping[bytes, bytes]) -> str:
    """Empty for a handshake as it has to be (section 4.2.1), but for its version."""
    if method != "GET":
        return f"a WebSocket begins with GET, not with {method}"
    try:
        key = b64decode(headers.get(b"sec-websocket-key", b""), validate=True)
    except binascii.Error:
        key = b""
    return "" if len(key) == KEY else "Sec-WebSocket-Key has to be 16 bytes in base64"


def grants(headers: Sequence[tuple[bytes, bytes]], key: bytes) -> bool:
    """Whether these are the headers of the answer to a handshake with this key (section 4.2.2): who does not know how to make them speaks another protocol."""
    found = {name: value for name, value in headers if name in (b"upgrade", b"sec-websocket-accept")}
    accept = b64encode(sha1(key + GUID, usedforsecurity=False).digest())
    return found.get(b"upgrade", b"").lower() == b"websocket" and found.get(b"sec-websocket-accept") == accept


class Frames:
    """Follows the bytes of one side, and knows whether a frame has just ended (section 5.2)."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head, self._left = b"", 0

    @property
    def between(self) -> bool:
        return not self._left and not self._head

    def add(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
                continue
            needed = _length_of_head(self._head)
            piece = data[at : at + needed - len(self._head)]
            at += len(piece)
            self._head += piece
            if len(self._head) == _length_of_head(self._head):
                self._left, self._head = _length_of_payload(self._head), b""


def _length_of_head(head: bytes) -> int:
    """As far as its first bytes tell."""
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if head[1] & 0x80 else 0)


def _length_of_payload(head: bytes) -> int:
    length = head[1] & 0x7F
    return int.from_bytes(head[2:4]) if length == 126 else int.from_bytes(head[2:10]) if length == 127 else length
