"""What is kept in a store so that only the shop's secret opens it: AES-256-GCM (NIST SP 800-38D) with a key made from the secret (HKDF, RFC 5869)."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from torg.kit.values import Randomness

NONCE: Final = 12  # bytes


class Sealer:
    """Seals with the first of the shop's secrets ("new,old") and opens with any of them. What was sealed for one `purpose` no other opens."""

    def __init__(self, secret: str, purpose: str, randomness: Randomness) -> None:
        if not all(part.strip() for part in secret.split(",")):
            raise ValueError("sealing needs a secret: set TORG_SECRET")
        self._keys = [AESGCM(HKDF(SHA256(), 32, None, purpose.encode()).derive(part.encode())) for part in secret.split(",")]
        self._randomness = randomness

    def seal(self, data: bytes, about: str) -> str:
        """`about` says what it belongs to: moved elsewhere it doesn't open."""
        nonce = self._randomness(NONCE)
        return (nonce + self._keys[0].encrypt(nonce, data, about.encode())).hex()

    def open(self, sealed: str, about: str) -> bytes | None:
        """None for what none of the secrets opens."""
        for key in self._keys:
            try:
                data = bytes.fromhex(sealed)
                return key.decrypt(data[:NONCE], data[NONCE:], about.encode())
            except (InvalidTag, ValueError):  # the latter: it is no sealed text at all
                continue
        return None
