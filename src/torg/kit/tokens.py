"""Signed tokens (JWT, RFC 7519), checked as RFC 8725 would have it: what a key may be used for is said by the key, never by the token.

All are signed with Ed25519 (RFC 8037). Its name in headers is EdDSA: RFC 9864 has a newer one, which few client libraries know yet."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import OKPKey
from joserfc.jws import JWSRegistry

ALGORITHM: Final = "EdDSA"
LEEWAY: Final = timedelta(seconds=60)  # that the clocks of two machines may differ
LARGEST: Final = 4096  # characters of a token that is looked at
REMEMBERED: Final = 10_000  # tokens whose signature was found right; those that came first give way
ACCESS, ID, LOGOUT = "at+jwt", "JWT", "logout+jwt"
HEADERS: Final = frozenset({"alg", "kid", "typ"})
"""All that a header may say; keys and addresses of keys (jwk, jku, x5u, x5c) come from nowhere but the ring."""


class Jwk(msgspec.Struct, frozen=True, kw_only=True):
    """A public key (RFC 7517, RFC 8037)."""

    kid: str
    x: str
    kty: Literal["OKP"] = "OKP"
    crv: Literal["Ed25519"] = "Ed25519"
    alg: Literal["EdDSA"] = "EdDSA"
    use: Literal["sig"] = "sig"


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token says; times are Unix seconds."""

    iss: str
    aud: str
    sub: str
    iat: int
    exp: int
    jti: str = ""
    client_id: str = ""
    sid: str = ""
    scope: str = ""
    nbf: int = 0
    nonce: str = ""
    auth_time: int = 0
    amr: tuple[str, ...] = ()
    at_hash: str = ""
    acr: str = ""
    name: str = ""
    email: str = ""
    email_verified: bool = False
    locale: str = ""
    events: dict[str, dict[str, str]] = {}
    cnf: dict[str, str] = {}


class BadToken(Exception):
    """Why a token is not believed."""


class _Ed25519Alone(JWSRegistry):
    """There is one algorithm, whatever a header says."""

    max_payload_length = LARGEST
    max_signature_length = 128

    def get_alg(self, name: str) -> Any:
        if name != ALGORITHM:
            raise UnsupportedAlgorithmError(f"tokens are signed with {ALGORITHM} here, not {name}")
        return self.algorithms[name]


_REGISTRY: Final = _Ed25519Alone(algorithms=[ALGORITHM])
_claims = msgspec.json.Decoder(Claims).decode


def private_key(kid: str, seed: bytes) -> OKPKey:
    """The key pair of a seed of 32 bytes (RFC 8032)."""
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "d": _encoded(seed), "x": _encoded(public), "kid": kid})


def public_key(jwk: Jwk) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk.x, "kid": jwk.kid})


def jwk_of(kid: str, seed: bytes) -> Jwk:
    """What may be told of the key of a seed."""
    return Jwk(kid=kid, x=str(private_key(kid, seed).as_dict(private=False)["x"]))


@dataclass(frozen=True)
class Signer:
    """Signs with one key."""

    kid: str
    key: OKPKey

    def sign(self, claims: Claims, kind: str) -> str:
        header = {"alg": ALGORITHM, "kid": self.kid, "typ": kind}
        return jws.serialize_compact(header, msgspec.json.encode(claims), self.key, registry=_REGISTRY)


@dataclass(frozen=True)
class Checker:
    """Believes tokens of one issuer that these keys have signed. Whose signature was right it remembers: neither that nor what a token says can change."""

    issuer: str
    keys: Mapping[str, OKPKey] = field(repr=False)
    _read: dict[tuple[str, str], Claims] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, issuer: str, keys: Sequence[Jwk]) -> Checker:
        return cls(issuer, {jwk.kid: public_key(jwk) for jwk in keys})

    def knows(self, token: str) -> bool:
        """Whether the key that a token names is one of these; True also for what names none."""
        try:
            return str(header_of(token).get("kid")) in self.keys
        except BadToken:
            return True

    def check(self, token: str, kind: str, audience: str, now: datetime) -> Claims:
        """What the token says. Raises BadToken. `audience` empty: whoever it is for."""
        claims = self.read(token, kind)
        if claims.iss != self.issuer:
            raise BadToken("another issuer made it")
        if audience and claims.aud != audience:
            raise BadToken("it is for somebody else")
        if now.timestamp() >= claims.exp + LEEWAY.total_seconds():
            raise BadToken("it has expired")
        if now.timestamp() < claims.nbf - LEEWAY.total_seconds():
            raise BadToken("its time has not come")
        return claims

    def read(self, token: str, kind: str) -> Claims:
        """What a token of this kind says, whoever it is for, and though its time may be over. Raises BadToken."""
        claims = self._read.get((token, kind))
        if claims is None:
            claims = self._read[token, kind] = self._signed(token, kind)
            if len(self._read) > REMEMBERED:
                del self._read[next(iter(self._read))]
        return claims

    def _signed(self, token: str, kind: str) -> Claims:
        header = header_of(token)
        if header.keys() != HEADERS or str(header["typ"]).lower().removeprefix("application/") != kind.lower():
            raise BadToken(f"its header is not that of {kind}")
        key = self.keys.get(str(header["kid"]))
        if key is None:
            raise BadToken("no key that is known has signed it")
        try:
            return _claims(jws.deserialize_compact(token, key, registry=_REGISTRY).payload or b"")
        except (JoseError, ValueError, msgspec.DecodeError) as error:
            raise BadToken(str(error)) from error


def header_of(token: str) -> dict[str, object]:
    """What a token's header says, which nobody has checked yet. Raises BadToken."""
    if len(token) > LARGEST or token.count(".") != 2:
        raise BadToken("it is no signed token")
    try:
        return msgspec.json.decode(_decoded(token.partition(".")[0]), type=dict[str, object])
    except (ValueError, msgspec.DecodeError, RecursionError) as error:
        raise BadToken("its header can't be read") from error


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
