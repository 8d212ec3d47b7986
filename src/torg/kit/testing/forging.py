"""Tokens that nobody may believe: the attacks of RFC 8725 and its relatives, each beside an honest token of the same claims."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from torg.kit.tokens import ACCESS, ALGORITHM, ID, LARGEST, LEEWAY, LOGOUT, Claims, Signer, jwk_of, private_key

ATTACKER = b"\x66" * 32


def forged(signer: Signer, claims: Claims) -> Mapping[str, str]:
    """By name. `signer` is the shop's own: some are truly signed, but for another use, audience or time."""
    honest = signer.sign(claims, ACCESS)
    header, payload, signature = honest.split(".")
    said = msgspec.json.decode(msgspec.json.encode(claims))
    head = {"alg": ALGORITHM, "kid": signer.kid, "typ": ACCESS}
    public = signer.key.public_key
    attacker = Signer(signer.kid, private_key(signer.kid, ATTACKER))
    own = msgspec.to_builtins(jwk_of("attacker", ATTACKER))

    def mine(**more: Any) -> str:
        """Signed by the attacker's key, under a header that says where to find it."""
        return _signed_by_attacker({**head, **more}, said)

    return {
        **_misused(signer, claims),
        "none": _unsigned({**head, "alg": "none"}, said),
        "None": _unsigned({**head, "alg": "nOnE"}, said),
        "no signature": f"{header}.{payload}.",
        "HS256 with the public key": _mac({**head, "alg": "HS256"}, said, public.public_bytes_raw()),
        "HS256 with its PEM": _mac({**head, "alg": "HS256"}, said, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        "HS256 with its JWK": _mac({**head, "alg": "HS256"}, said, str(own["x"]).encode()),
        "RS256": _unsigned({**head, "alg": "RS256"}, said, b"\x01" * 256),
        "ES256": _unsigned({**head, "alg": "ES256"}, said, b"\x00" * 64),
        "no algorithm": _unsigned({"kid": signer.kid, "typ": ACCESS}, said, b"\x00" * 64),
        "a list of algorithms": _unsigned({**head, "alg": [ALGORITHM]}, said, b"\x00" * 64),
        "wrong kid": Signer("unknown", signer.key).sign(claims, ACCESS),
        "kid of a file": Signer("../../../dev/null", signer.key).sign(claims, ACCESS),
        "kid of SQL": Signer("' or 1=1 --", signer.key).sign(claims, ACCESS),
        "no kid": _unsigned({"alg": ALGORITHM, "typ": ACCESS}, said, b"\x00" * 64),
        "kid is no text": _unsigned({**head, "kid": {"a": 1}}, said, b"\x00" * 64),
        "jku": mine(jku="https://attacker.example/jwks.json"),
        "x5u": mine(x5u="https://attacker.example/key.pem"),
        "jwk": mine(jwk=own),
        "jwk and its kid": mine(jwk=own, kid="attacker"),
        "x5c": mine(x5c=["MIIB"]),
        "crit": mine(crit=["b64"], b64=False),
        "zip": mine(zip="DEF"),
        "no type": _unsigned({"alg": ALGORITHM, "kid": signer.kid}, said, _decoded(signature)),
        "no expiry": _unsigned(head, {name: value for name, value in said.items() if name != "exp"}, _decoded(signature)),
        "expiry is no number": _unsigned(head, {**said, "exp": "never"}, _decoded(signature)),
        "other key": attacker.sign(claims, ACCESS),
        "another's claims": f"{header}.{_encoded(msgspec.json.encode({**said, 'sub': 'somebody-else'}))}.{signature}",
        "another header": f"{_encoded(msgspec.json.encode({**head, 'typ': ACCESS.upper() + ' '}))}.{payload}.{signature}",
        "truncated": honest[:-4],
        "truncated to its payload": f"{header}.{payload}",
        "half of it": honest[: len(honest) // 2],
        "a part too many": f"{honest}.{signature}",
        "a nested token": f"{header}.{_encoded(honest.encode())}.{signature}",
        "huge": f"{header}.{payload}{'A' * 1_000_000}.{signature}",
        "huge header": f"{_encoded(msgspec.json.encode({**head, 'x': 'A' * LARGEST}))}.{payload}.{signature}",
        "deep": f"{_encoded(b'[' * 2000)}.{payload}.{signature}",
        "not base64": f"{header}.{payload}.{'*' * 86}",
        "dots": "..",
        "bytes": "\xff\xfe.\x00.\x01",
    }


def _misused(signer: Signer, claims: Claims) -> Mapping[str, str]:
    """Truly signed, but for another use, audience or time."""
    hour = int(timedelta(hours=1).total_seconds())

    def changed(**more: Any) -> str:
        return signer.sign(msgspec.structs.replace(claims, **more), ACCESS)

    return {
        "another audience": changed(aud="https://elsewhere.example"),
        "no audience": changed(aud=""),
        "another issuer": changed(iss="https://elsewhere.example"),
        "the type of an ID token": signer.sign(claims, ID),
        "the type of a logout token": signer.sign(claims, LOGOUT),
        "expired": changed(iat=claims.iat - 2 * hour, exp=claims.iat - int(LEEWAY.total_seconds()) - 1),
        "future": changed(nbf=claims.iat + hour),
    }


def _signed_by_attacker(header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
    key = private_key("attacker", ATTACKER).private_key
    text = f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}"
    return f"{text}.{_encoded(key.sign(text.encode()))}"  # type: ignore[union-attr]


def _unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], signature: bytes = b"") -> str:
    return f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}.{_encoded(signature)}"


def _mac(header: Mapping[str, Any], claims: Mapping[str, Any], key: bytes) -> str:
    text = f"{_encoded(msgspec.json.encode(header))}.{_encoded(msgspec.json.encode(claims))}"
    return f"{text}.{_encoded(hmac.digest(key, text.encode(), hashlib.sha256))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
