"""Signing in and out over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.routes.answers import unkept
from torg.kit.http import Request, Route, Urgency, delete, get, post
from torg.kit.http.routes import Fill


def sessions() -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would keep tokens in clear."""
    return (
        post(
            "/sessions",
            c.SignIn,
            right="registration:write",
            status=201,
            fill=signing_in(),
            reply_headers=unkept,
            refuses=(403, 429),
            urgency=Urgency.SIGN_IN,
            summary="Sign in",
        ),
        post(
            "/sessions/refresh",
            c.RefreshSession,
            right="registration:write",
            status=201,
            reply_headers=unkept,
            summary="Get a new pair of tokens; a used one ends the session",
        ),
        get("/sessions", c.ListSessions, right="self:read", reply_headers=unkept, summary="Where you are signed in"),
        delete("/sessions/{session_id}", c.EndSession, right="self:write", summary="End one of your sessions, at once"),
        delete("/sessions/current", c.SignOut, right="self:write", summary="Sign out, at once"),
        delete("/sessions", c.SignOutEverywhere, right="self:write", summary="Sign out everywhere"),
    )


def signing_in() -> Mapping[str, Fill]:
    """What is known of who comes, besides what they send."""
    return {"address": lambda request: request.client, "device": lambda request: request.header("user-agent"), "guest_cart_id": _guest_cart}


def _guest_cart(request: Request) -> str:
    return request.header("x-cart-id") or request.cookie("cart")
