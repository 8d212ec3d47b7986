"""The rules of proofs: how somebody has shown who they are, in the words of RFC 8176, and for how long that is enough for what matters."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Final

from torg.kit.errors import FieldError, Forbidden

PROOF_FOR: Final = timedelta(minutes=10)
PASSWORD, CODE, KEY, SEVERAL = "pwd", "otp", "pop", "mfa"  # words of the RFC
OUTSIDE: Final = "fed"
"""By a provider outside; the RFC has no word for it."""


def joined(*words: str) -> str:
    """As a session keeps them, each once."""
    return " ".join(dict.fromkeys(word for one in words for word in one.split()))


def vouched(amr: Collection[str], acr: str, believed: Collection[str]) -> str:
    """What a sign-in with a provider outside was proven by: several things, where it says one of the words that this shop believes it."""
    return joined(OUTSIDE, SEVERAL if {*amr, acr} & set(believed) - {""} else "")


def reauthenticate(ways: tuple[FieldError, ...]) -> Forbidden:
    """`ways` are what they may prove it by."""
    minutes = int(PROOF_FOR.total_seconds()) // 60
    detail = f"this takes a proof of who you are that is not older than {minutes} minutes: POST /sessions/current/proof, then ask again"
    return Forbidden("session.reauthenticate", detail, ways)


def ways(*, password: bool, totp: bool, passkeys: bool, recovery: bool) -> tuple[FieldError, ...]:
    """With what somebody may show who they are, for the `errors` of a refusal."""
    told = {
        "password": (password, "your password"),
        "totp": (totp, "a code of your app"),
        "passkey": (passkeys, "a passkey"),
        "recovery_code": (recovery, "one of your recovery codes"),
    }
    return tuple(FieldError("way", code, detail) for code, (there, detail) in told.items() if there)


def only_anew() -> Forbidden:
    return Forbidden("session.sign_in_again", "this account has neither password nor second factor: sign in again with your provider")
