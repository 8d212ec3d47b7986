"""Proofs that whoever sends a token holds the key that it is bound to (DPoP, RFC 9449): a token that was stolen alone opens nothing."""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from joserfc.jws import JWSRegistry

from torg.kit import telemetry
from torg.kit.errors import Unauthenticated, Unavailable
from torg.kit.tokens import LARGEST, BadToken, header_of
from torg.kit.values import Clock

if TYPE_CHECKING:
    from torg.kit.redis import Redis

ALGORITHMS: Final = ("ES256", "EdDSA")
KIND: Final = "dpop+jwt"
HEADER, SCHEME = "dpop", "dpop"
FRESH: Final = timedelta(seconds=60)  # that a proof may be old, or its clock ahead
HELD: Final = 100_000  # proofs in memory; the oldest give way
PORTS: Final = {"http": 80, "https": 443}

Short = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class BadProof(Exception):
    """Why a proof is not believed."""


class Unproven(Unauthenticated):
    """What came with a token doesn't prove that its sender holds the key; `error` is named as RFC 9449 and RFC 6750 name it."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(f"dpop.{error}", detail)
        self.challenge = f'DPoP error="{error}", algs="{" ".join(ALGORITHMS)}"'


class PublicKey(msgspec.Struct, frozen=True):
    """Of a JWK (RFC 7517) what makes the key; `d` has to be empty: it would be the private one."""

    kty: str
    crv: str
    x: str
    y: str = ""
    d: str = ""


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    typ: str
    alg: str
    jwk: PublicKey
    kid: str = ""


class Proof(msgspec.Struct, frozen=True):
    """What a proof says: which request it is for, when it was made, and for which token. `thumbprint` is the key's (RFC 7638)."""

    jti: Short
    htm: Short
    htu: Annotated[str, msgspec.Meta(max_length=2000)]
    iat: float
    ath: str = ""
    thumbprint: str = ""


class _Registry(JWSRegistry):
    max_header_length = 1024  # there is a key in it
    max_payload_length = LARGEST
    max_signature_length = 128

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]  # _key has seen to it that it is one of ALGORITHMS; joserfc's own would warn of EdDSA's name


_REGISTRY: Final = _Registry(algorithms=ALGORITHMS)
_proof = msgspec.json.Decoder(Proof).decode


def read(text: str) -> Proof:
    """What a proof says that its own key has signed. Raises BadProof."""
    try:
        header = msgspec.convert(header_of(text), _Header)
        if header.typ.lower() != KIND:
            raise BadProof(f"its typ must be {KIND}")
        public = _key(header)
        proof = _proof(jws.deserialize_compact(text, public, registry=_REGISTRY).payload or b"")
    except BadToken as error:
        raise BadProof(str(error)) from error
    except (JoseError, ValueError, msgspec.DecodeError) as error:
        raise BadProof(f"it can't be believed: {error}") from error
    return msgspec.structs.replace(proof, thumbprint=public.thumbprint())


def _key(header: _Header) -> ECKey | OKPKey:
    jwk = header.jwk
    if jwk.d:
        raise BadProof("its jwk is a private key: make a new one, this one is everybody's now")
    if (header.alg, jwk.kty, jwk.crv) == ("ES256", "EC", "P-256"):
        return ECKey.import_key({"kty": "EC", "crv": "P-256", "x": jwk.x, "y": jwk.y})
    if (header.alg, jwk.kty, jwk.crv) == ("EdDSA", "OKP", "Ed25519"):
        return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": jwk.x})
    raise BadProof("its key must be one of P-256 with alg ES256, or of Ed25519 with alg EdDSA")


def token_hash(token: str) -> str:
    """`ath`: base64url of the token's SHA-256."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


class Proofs:
    """Believes a proof once, for the request that it was made for. `address` is where the shop is reached. Proofs that were seen are remembered in memory, and
    for all processes by Redis, where there is one."""

    def __init__(self, address: str, clock: Clock, redis: Redis | None = None) -> None:
        self._address, self._clock, self._redis = address.rstrip("/"), clock, redis
        self._seen: OrderedDict[str, float] = OrderedDict()

    async def holder(self, text: str, method: str, path: str, token: str = "") -> str:
        """The thumbprint of the key of whoever asks. Raises BadProof. `token`: the one that the proof has to be for."""
        proof, now = read(text), self._clock().timestamp()
        if proof.htm != method:
            raise BadProof(f"it is for {proof.htm[:20]}, and this is {method}: htm has to be the method")
        if _parts(proof.htu) != _parts(self._address, path):
            raise BadProof(f"it is for another address: htu has to be {self._address}{path}")
        if abs(now - proof.iat) > FRESH.total_seconds():
            raise BadProof(f"it was made at another time: iat may be {FRESH.total_seconds():.0f} s off at most, and it is {now:.0f} now")
        if token and proof.ath != token_hash(token):
            raise BadProof("it is for another token: ath has to be the token's SHA-256, in base64url")
        if not await self._is_new(proof, now):
            raise BadProof("it was used before: make a new one, with a jti of its own, for each request")
        return proof.thumbprint

    async def _is_new(self, proof: Proof, now: float) -> bool:
        seen = hashlib.sha256(f"{proof.thumbprint} {proof.jti}".encode()).hexdigest()
        while self._seen and (len(self._seen) > HELD or next(iter(self._seen.values())) < now):
            self._seen.popitem(last=False)
        if seen in self._seen:
            return False
        lasts = 2 * FRESH.total_seconds()  # as old as may be, after it was as early as may be
        self._seen[seen] = now + lasts
        if self._redis is None:
            return True
        from torg.kit.redis import key

        try:
            return await self._redis.put(key("edge", "proof", seen), b"", lasts, only_new=True)
        except Unavailable as away:
            telemetry.log.warning("proofs of possession are remembered in this process alone", detail=away.detail)
            return True


def _parts(address: str, path: str = "") -> tuple[Any, ...]:
    """An address as far as two of them have to be alike: without query and fragment, whatever its host's case and however its path is escaped."""
    try:
        parts = urlsplit(address)
        return parts.scheme, parts.hostname, parts.port or PORTS.get(parts.scheme), unquote(parts.path) + path or "/"
    except ValueError:
        return ()
