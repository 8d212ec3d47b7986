"""Passkeys over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.routes.answers import unkept
from torg.contexts.user.routes.sessions import signing_in
from torg.kit.http import Route, Urgency, delete, get, post


def passkeys() -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would keep tokens in clear."""
    coming = {"right": "registration:write", "status": 201, "reply_headers": unkept, "urgency": Urgency.SIGN_IN}
    return (
        get("/users/me/passkeys", c.ListPasskeys, right="self:read", summary="Your passkeys"),
        post("/users/me/passkeys/challenge", c.BeginPasskey, right="self:write", status=201, reply_headers=unkept, refuses=(409, 429),
            summary="Begin a passkey"),
        post("/users/me/passkeys", c.AddPasskey, right="self:write", status=201, refuses=(409,), summary="Add the passkey that the device has made"),
        delete("/users/me/passkeys/{passkey_id}", c.RemovePasskey, right="self:write", summary="Remove a passkey"),
        post("/sessions/passkey/challenge", c.BeginPasskeySignIn, **coming, summary="Begin to sign in with a passkey"),
        post("/sessions/passkey", c.SignInWithPasskey, **coming, fill=signing_in(), summary="Sign in with a passkey"),
    )  # fmt: skip
