"""Keys of services that are the same in every run: nothing to protect, nothing to keep."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from torg.kit import values
from torg.kit.rpc.identity import Identities, KeyPair, StaticKeys
from torg.kit.values import Clock


def pair_of(service: str, number: int = 1) -> KeyPair:
    """Each service has as many as are wanted."""
    return KeyPair(hashlib.blake2b(f"{service} {number}".encode(), digest_size=32).digest())


def static_keys(services: Collection[str], here: Collection[str]) -> StaticKeys:
    """Everybody's public keys, and the pairs of those that run here."""
    return StaticKeys.of({service: pair_of(service) for service in {*services, *here}}, here)


def speaking_for(*here: str, services: Collection[str] = (), clock: Clock = values.utc_now) -> Identities:
    """A process of these services, which knows them and all the others."""
    return Identities(static_keys(services, here), clock, values.randomness)
