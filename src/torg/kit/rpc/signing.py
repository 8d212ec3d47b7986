"""Signatures between the processes of a fleet: keyed BLAKE2b (RFC 7693) over everything that a request means, with a moment at which they expire."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from hmac import compare_digest

from torg.kit.values import Clock

LEEWAY = 30  # seconds that the clocks of two machines may differ
DIGEST = 16  # bytes


class Signer:
    """Signs with the first key and believes all of them, so that a new key can be handed out while the old one is still in use.
    `purpose` (16 bytes at most) keeps what was signed for one use from being believed in another."""

    def __init__(self, secrets: Sequence[bytes], purpose: bytes, clock: Clock) -> None:
        if not secrets or not all(secrets):
            raise ValueError("a signature needs a secret: set TORG_SECRET, the same for all processes of the fleet")
        self._keys = [hashlib.blake2b(secret, digest_size=32, person=purpose).digest() for secret in secrets]
        self._clock = clock

    def sign(self, seconds: float, *parts: bytes) -> bytes:
        """Good for so many seconds and for just these parts; all but the last must be free of NUL."""
        expires = b"%d" % (self._clock().timestamp() + seconds + LEEWAY)
        return expires + b"." + _digest(self._keys[0], expires, parts)

    def fault(self, signature: bytes, *parts: bytes) -> str:
        """Empty for a true signature of these parts; else what is wrong with it."""
        expires, _, digest = signature.partition(b".")
        if not expires.isdigit() or not digest:
            return "it is missing"
        if not any(compare_digest(digest, _digest(key, expires, parts)) for key in self._keys):
            return "it is not true"
        if int(expires) < self._clock().timestamp():
            return f"it has expired at {datetime.fromtimestamp(int(expires), tz=self._clock().tzinfo):%H:%M:%S}: compare the clocks"
        return ""


def _digest(key: bytes, expires: bytes, parts: Sequence[bytes]) -> bytes:
    return hashlib.blake2b(b"\0".join((expires, *parts)), digest_size=DIGEST, key=key).hexdigest().encode()
