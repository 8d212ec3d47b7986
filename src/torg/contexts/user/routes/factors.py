"""Second factors over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torg.contexts.user import contracts as c
from torg.contexts.user.routes.answers import unkept
from torg.kit.http import Route, Urgency, get, post


def factors() -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would keep secrets in clear."""
    write = {"right": "self:write", "reply_headers": unkept, "refuses": (409, 429)}
    coming: dict[str, Any] = {"right": "registration:write", "status": 201, "reply_headers": unkept, "urgency": Urgency.SIGN_IN}
    giving = {"address": lambda request: request.client}
    return (
        get("/users/me/factors", c.GetFactors, right="self:read", reply_headers=unkept, summary="What you prove yourself with besides a password"),
        post("/users/me/factors/totp", c.BeginTotp, status=201, **write, summary="Begin with an app that shows codes"),
        post("/users/me/factors/totp/confirm", c.ConfirmTotp, **write, summary="Give its first code; recovery codes are shown this once"),
        post("/users/me/factors/totp/remove", c.RemoveTotp, **{**write, "reply_headers": None}, status=204, summary="Do without it again"),
        post("/users/me/factors/recovery-codes", c.RenewRecoveryCodes, status=201, **write, summary="Get new recovery codes"),
        post("/users/me/factors/passkey", c.AddPasskeyStep, status=201, **write,
            summary="Be asked for a passkey after the password; recovery codes are shown this once"),
        post("/users/me/factors/passkey/remove", c.RemovePasskeyStep, **{**write, "reply_headers": None}, status=204, summary="Be asked for none again"),
        post(
            "/sessions/second-factor", c.GiveCode, right="registration:write", status=201, fill=giving, reply_headers=unkept, refuses=(429,),
            urgency=Urgency.SIGN_IN, summary="Sign in, second part: a code, with the ticket that the right password was answered with",
        ),
        post("/sessions/second-factor/challenge", c.BeginPasskeyStep, **coming, refuses=(409,), summary="Begin the second part with a passkey"),
        post("/sessions/second-factor/passkey", c.GivePasskey, **coming, fill=giving, summary="Sign in, second part: a passkey, with both tickets"),
        post("/sessions/current/proof/challenge", c.BeginProof, right="self:write", status=201, reply_headers=unkept, refuses=(409,), audited=False,
            summary="Begin to show again who you are with a passkey"),
        post("/sessions/current/proof", c.ProveAgain, right="self:write", fill=giving, reply_headers=unkept, refuses=(401, 429), audited=False,
            summary="Show again who you are, before what matters"),
    )  # fmt: skip
