"""Proofs of possession (DPoP, RFC 9449) as somebody else's library makes them (PyJWT), and those that nobody may believe."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Holder:
    """Has a key, and shows it."""

    def __init__(self, key: Key | None = None) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.alg = "ES256" if isinstance(self.key, ec.EllipticCurvePrivateKey) else "EdDSA"
        self.jwk = jwk_of(self.key.public_key())

    @property
    def thumbprint(self) -> str:
        """RFC 7638."""
        needed = {name: self.jwk[name] for name in sorted(("crv", "kty", "x", "y")) if name in self.jwk}
        return _encoded(hashlib.sha256(json.dumps(needed, separators=(",", ":")).encode()).digest())

    def proof(self, method: str, url: str, now: datetime, token: str = "", head: Mapping[str, Any] | None = None, **said: Any) -> str:
        """A good one, but for what is `said` otherwise; what is said to be None is left out."""
        claims = {"jti": uuid4().hex, "htm": method, "htu": url, "iat": int(now.timestamp()), **({"ath": hash_of(token)} if token else {}), **said}
        header = {"typ": "dpop+jwt", "jwk": self.jwk, **(head or {})}
        return jwt.encode({name: value for name, value in claims.items() if value is not None}, self.key, self.alg, header)


def forged_proofs(holder: Holder, method: str, url: str, now: datetime, token: str) -> Mapping[str, str]:
    """By name; each is for a token that is bound to the holder's key, and would be good but for one thing."""
    honest = holder.proof(method, url, now, token)
    header, payload, signature = honest.split(".")
    said, at = jwt.decode(honest, options={"verify_signature": False}), int(now.timestamp())
    thief, big = Holder(), rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def but(**changes: Any) -> str:
        return holder.proof(method, url, now, token, **changes)

    def under(head: Mapping[str, Any]) -> str:
        return f"{_encoded(json.dumps(head).encode())}.{payload}.{signature}"

    head: dict[str, Any] = {"typ": "dpop+jwt", "alg": holder.alg, "jwk": holder.jwk}
    return {
        "none at all": "", "not a token": "proof", "two of them": f"{honest}, {but()}", "dots": "..",
        "the thief's key": thief.proof(method, url, now, token),
        "the thief's signature under the holder's key": thief.proof(method, url, now, token, {"jwk": holder.jwk}),
        "no signature": f"{header}.{payload}.", "none": under({**head, "alg": "none"}), "truncated": honest[:-4], "a part too many": f"{honest}.{signature}",
        "another's claims": f"{header}.{_encoded(json.dumps({**said, 'jti': 'another'}).encode())}.{signature}",
        "HS256 with the public key": jwt.encode(said, json.dumps(holder.jwk) * 2, "HS256", {**head, "alg": "HS256"}),
        "RS256": jwt.encode(said, big, "RS256", {**head, "alg": "RS256", "jwk": RSAAlgorithm.to_jwk(big.public_key(), as_dict=True)}),
        "a symmetric key": under({**head, "alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
        "a key of another curve": under({**head, "jwk": {**holder.jwk, "crv": "P-384"}}),
        "a point that is on no curve": under({**head, "jwk": {**holder.jwk, "x": _encoded(b"\1" * 32)}}),
        "the private key": but(head={"jwk": {**holder.jwk, "d": _encoded(b"\1" * 32)}}),
        "no key": under({"typ": "dpop+jwt", "alg": holder.alg}), "a key's address": but(head={"jku": "https://attacker.example/jwks.json"}),
        "x5c": but(head={"x5c": ["MIIB"]}), "crit": but(head={"crit": ["b64"], "b64": False}),
        "the type of a token": but(head={"typ": "at+jwt"}), "the type of any token": but(head={"typ": "JWT"}),
        "no type": under({"alg": holder.alg, "jwk": holder.jwk}),
        "another method": but(htm="DELETE"), "the method in another case": but(htm=method.lower()), "no method": but(htm=None),
        "another host": but(htu=url.replace("://", "://evil.")), "another port": but(htu=url.replace("/api", ":444/api")),
        "another path": but(htu=f"{url}/more"), "the root": but(htu=url.partition("/api")[0]), "another scheme": but(htu=url.replace("https:", "http:")),
        "no address": but(htu=None), "an address that is none": but(htu="http://[::1"),
        "old": but(iat=at - 61), "of the future": but(iat=at + 61), "made never": but(iat=None), "made at a text": but(iat=str(at)),
        "made at no end": but(iat=1e400),
        "no id": but(jti=None), "an empty id": but(jti=""), "an id without end": but(jti="x" * 201),
        "for another token": but(ath=hash_of("another")), "for no token": but(ath=None), "a hash with padding": but(ath=hash_of(token) + "="),
        "huge": honest + "A" * 1_000_000, "a huge key": but(head={"jwk": {**holder.jwk, "kid": "k" * 2000}}),
        "deep": f"{_encoded(b'[' * 2000)}.{payload}.{signature}", "bytes": "\xff\xfe.\x00.\x01",
    }  # fmt: skip


def jwk_of(public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> dict[str, str]:
    return ECAlgorithm.to_jwk(public, as_dict=True) if isinstance(public, ec.EllipticCurvePublicKey) else OKPAlgorithm.to_jwk(public, as_dict=True)


def hash_of(token: str) -> str:
    return _encoded(hashlib.sha256(token.encode()).digest())


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
