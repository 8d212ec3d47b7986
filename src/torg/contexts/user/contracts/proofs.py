"""Showing anew who one is, before what matters."""

from __future__ import annotations

from datetime import datetime

import msgspec

from torg.contexts.user.contracts.passkeys import Challenge
from torg.kit.auth import Identity
from torg.kit.messages import Command, message


class Proof(msgspec.Struct, frozen=True):
    """Until then nobody is asked again."""

    until: datetime


@message("user.begin_proof")
class BeginProof(Command[Challenge], frozen=True):
    """Asks a device for a passkey of the holder's. Raises DomainError `passkey.none`."""

    holder: Identity


@message("user.prove_again")
class ProveAgain(Command[Proof], frozen=True, kw_only=True):
    """Shows that it is still the holder who uses this session: by a passkey (`ticket`, `credential`), or by their password and, where they have a second
    factor, a code of the app or a recovery code. Raises Invalid for what is wrong or missing, Unauthenticated `passkey.refused`, TooManyRequests
    `session.too_many_attempts`, Forbidden `session.sign_in_again` where there is nothing to show."""

    holder: Identity
    password: str = ""
    code: str = ""
    ticket: str = ""
    credential: str = ""
    address: str = ""
