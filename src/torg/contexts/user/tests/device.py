"""A device that holds a passkey, in software: what a browser would send of it (WebAuthn, ES256, no attestation)."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import urlsplit

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


class Device:
    """Its holder is known to it, unless `verified` is False."""

    def __init__(self, origin: str, id: bytes = b"passkey-1", verified: bool = True) -> None:
        self.origin, self.id, self.count = origin, id, 0
        self.flags = PRESENT | (VERIFIED if verified else 0)
        self._key = ec.generate_private_key(ec.SECP256R1())

    def make(self, options: str) -> str:
        """A new passkey, as it was asked for."""
        point = self._key.public_key().public_numbers()
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)})
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + cose
        data = self._data(self.flags | ATTESTED) + attested
        said = self._said("webauthn.create", options)
        return self._answer({"clientDataJSON": _encoded(said), "attestationObject": _encoded(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data}))})

    def show(self, options: str) -> str:
        """That it has the passkey."""
        self.count += 1
        data, said = self._data(self.flags), self._said("webauthn.get", options)
        signature = self._key.sign(data + hashlib.sha256(said).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer({"clientDataJSON": _encoded(said), "authenticatorData": _encoded(data), "signature": _encoded(signature)})

    def _data(self, flags: int) -> bytes:
        host = urlsplit(self.origin).hostname or ""
        return hashlib.sha256(host.encode()).digest() + bytes([flags]) + self.count.to_bytes(4)

    def _said(self, kind: str, options: str) -> bytes:
        return json.dumps({"type": kind, "challenge": json.loads(options)["challenge"], "origin": self.origin}).encode()

    def _answer(self, response: dict[str, str]) -> str:
        return json.dumps({"id": _encoded(self.id), "rawId": _encoded(self.id), "type": "public-key", "response": response})


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
