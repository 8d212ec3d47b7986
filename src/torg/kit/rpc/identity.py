"""Who speaks: each service of a fleet has a key pair of its own, introduces itself to every other one, and signs its calls with what only the two know.

An introduction is a token that the caller signs with Ed25519 (RFC 8032): who it is, whom it speaks to, until when, and one half of an X25519 agreement
(RFC 7748) whose other half is the audience's own key. Both remember it for a minute, so that a call costs no more than a keyed digest."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from torg.kit.errors import Unavailable
from torg.kit.rpc.signing import LEEWAY, Signer
from torg.kit.values import Clock, Randomness

LIVES: Final = 60  # seconds that an introduction is good for; a new one is made at half of that
LONGEST: Final = 512  # bytes of one that is looked at
REMEMBERED: Final = 4096  # introductions of others
SEED: Final = 32  # bytes


class BadIdentity(Exception):
    """Why somebody is not believed to be who they say."""


class KeyPair:
    """Made of a seed: one key that signs, and one that agrees with another's on a secret."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED:
            raise ValueError(f"a key is {SEED} bytes, not {len(seed)}")
        self.signing = Ed25519PrivateKey.from_private_bytes(seed)
        self.agreeing = X25519PrivateKey.from_private_bytes(_digest(seed, b"torg.agreeing"))
        self.public = PublicKey(self.signing.public_key().public_bytes_raw() + self.agreeing.public_key().public_bytes_raw())


@dataclass(frozen=True)
class PublicKey:
    """What everybody may know of a pair."""

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 2 * SEED:
            raise ValueError(f"a public key is {2 * SEED} bytes, not {len(self.raw)}")

    @property
    def id(self) -> str:
        return hashlib.blake2b(self.raw, digest_size=6).hexdigest()

    @property
    def signing(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.raw[:SEED])

    @property
    def agreeing(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.raw[SEED:])


class Keys(Protocol):
    """The key pairs of the services that run here, and the public keys of all. Of several keys of one service the first is used, and all are believed.
    `version` differs once any of them has changed."""

    version: int

    def own(self, service: str) -> Sequence[KeyPair]: ...

    def known(self, service: str) -> Sequence[PublicKey]: ...

    def services(self) -> Collection[str]:
        """All of whom a public key is known."""
        ...

    def look(self) -> None:
        """Somebody has used a key that is not known here: it may be new."""
        ...

    async def run(self) -> None:
        """Keeps itself up to date until cancelled; under supervision."""
        ...


@dataclass
class StaticKeys:
    """Implements Keys by what it is given."""

    pairs: Mapping[str, Sequence[KeyPair]]
    public: Mapping[str, Sequence[PublicKey]]
    version: int = 0

    @classmethod
    def of(cls, pairs: Mapping[str, KeyPair], here: Collection[str]) -> StaticKeys:
        """Everybody's public keys, and the pairs of those that run here."""
        return cls({service: (pairs[service],) for service in here}, {service: (pair.public,) for service, pair in pairs.items()})

    def own(self, service: str) -> Sequence[KeyPair]:
        return self.pairs.get(service, ())

    def known(self, service: str) -> Sequence[PublicKey]:
        return self.public.get(service, ())

    def services(self) -> Collection[str]:
        return self.public.keys()

    def look(self) -> None:
        """There are no others."""

    async def run(self) -> None:
        """They stay as they are."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What two services know of each other until it `expires` (Unix seconds). `calls` signs what the one asks, `handed_on` what a gateway passes on."""

    token: bytes
    caller: str
    audience: str
    expires: int
    calls: Signer
    handed_on: Signer


class Identities:
    """Speaks for the services of this process, and recognises those of others."""

    def __init__(self, keys: Keys, clock: Clock, randomness: Randomness) -> None:
        self.keys, self._clock, self._randomness = keys, clock, randomness
        self._made: dict[tuple[str, str], Introduction] = {}
        self._heard: OrderedDict[bytes, Introduction] = OrderedDict()
        self._version = keys.version

    def introduce(self, caller: str, audience: str) -> Introduction:
        """What `caller`, which must run here, shows to `audience`. Raises Unavailable where nobody knows whom that would be."""
        self._forget_what_was_changed()
        known, now = self._made.get((caller, audience)), self._clock().timestamp()
        if known and LIVES / 2 < known.expires - now <= LIVES:
            return known
        made = self._made[caller, audience] = self._introduction(caller, audience, int(now) + LIVES)
        return made

    def recognise(self, token: bytes) -> Introduction:
        """Who shows this. Raises BadIdentity."""
        self._forget_what_was_changed()
        known = self._heard.get(token)
        if known is None:
            known = self._heard[token] = self._read(token)
            if len(self._heard) > REMEMBERED:
                self._heard.popitem(last=False)
        if (left := known.expires - self._clock().timestamp()) < -LEEWAY or left > LIVES + LEEWAY:
            del self._heard[token]
            raise BadIdentity("it has expired: compare the clocks" if left < 0 else "its time has not come: compare the clocks")
        return known

    def _forget_what_was_changed(self) -> None:
        if self._version != self.keys.version:
            self._version = self.keys.version
            self._made.clear()
            self._heard.clear()

    def _introduction(self, caller: str, audience: str, expires: int) -> Introduction:
        pairs = self.keys.own(caller)
        if not pairs:
            raise RuntimeError(f"this process has no key of {caller!r}, and cannot speak for it")
        if not self.keys.known(audience):
            self.keys.look()
        theirs = next(iter(self.keys.known(audience)), None)
        if theirs is None:
            raise Unavailable(f"no public key of {audience} is known here: see TORG_IDENTITIES")
        half = X25519PrivateKey.from_private_bytes(self._randomness(SEED))
        said = ".".join((caller, pairs[0].public.id, audience, theirs.id, str(expires), text_of(half.public_key().public_bytes_raw()))).encode()
        token = said + b"." + text_of(pairs[0].signing.sign(_SAID + said)).encode()
        return self._between(token, said, caller, audience, expires, half.exchange(theirs.agreeing))

    def _read(self, token: bytes) -> Introduction:
        if not token:
            raise BadIdentity("it is missing")
        try:
            said, _, signature = token[: LONGEST + 1].rpartition(b".")
            caller, key, audience, to, until, half = said.decode("ascii").split(".")
            signed, other, expires = bytes_of(signature.decode("ascii")), X25519PublicKey.from_public_bytes(bytes_of(half)), int(until)
        except ValueError as error:
            raise BadIdentity("it can't be read") from error
        pair = self._addressed(audience, to)
        try:
            self._signer(caller, key).signing.verify(signed, _SAID + said)
        except InvalidSignature as error:
            raise BadIdentity("it is not true") from error
        try:
            return self._between(token, said, caller, audience, expires, pair.agreeing.exchange(other))
        except ValueError as error:  # a point of small order, of which everybody knows the outcome
            raise BadIdentity("it can't be read") from error

    def _addressed(self, audience: str, id: str) -> KeyPair:
        for _ in range(2):
            if found := next((pair for pair in self.keys.own(audience) if pair.public.id == id), None):
                return found
            self.keys.look()
        raise BadIdentity("it is meant for somebody else")

    def _signer(self, caller: str, id: str) -> PublicKey:
        for _ in range(2):
            if found := next((key for key in self.keys.known(caller) if key.id == id), None):
                return found
            self.keys.look()
        raise BadIdentity(f"its key is none of those known of {caller!r}")

    def _between(self, token: bytes, said: bytes, caller: str, audience: str, expires: int, shared: bytes) -> Introduction:
        secrets = (_digest(shared + said, b"torg.shared"),)
        return Introduction(token, caller, audience, expires, Signer(secrets, b"torg.rpc", self._clock), Signer(secrets, b"torg.gateway", self._clock))


_SAID: Final = b"torg.identity\0"
"""Stands before what is signed: no key says anything else in these words."""


def text_of(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def bytes_of(text: str) -> bytes:
    """Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _digest(data: bytes, purpose: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=SEED, person=purpose).digest()
