"""Confirming an address and getting a new password, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.kit.http import Route, Urgency, post


def recovery() -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would say whose they were."""
    asking = {"address": lambda request: request.client}
    return (
        post(
            "/users/me/confirmation",
            c.SendConfirmation,
            right="self:write",
            status=204,
            refuses=(409, 429),
            summary="Send the letter again that confirms your address",
        ),
        post(
            "/confirmations",
            c.ConfirmEmail,
            right="registration:write",
            status=204,
            refuses=(409,),
            urgency=Urgency.SIGN_IN,
            summary="Confirm an address by its letter's link",
        ),
        post(
            "/password-resets",
            c.RequestReset,
            right="registration:write",
            status=202,
            fill=asking,
            refuses=(429,),
            urgency=Urgency.SIGN_IN,
            summary="Ask for a letter with a link to a new password",
        ),
        post(
            "/password-resets/password",
            c.ResetPassword,
            right="registration:write",
            status=204,
            refuses=(409,),
            urgency=Urgency.SIGN_IN,
            summary="Set a new password by a letter's link",
        ),
    )
