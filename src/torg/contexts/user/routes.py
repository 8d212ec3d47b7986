"""Users and sessions over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.model import profile_tag
from torg.contexts.user.ports import UserDeps
from torg.kit.auth import SIGNED_IN, Role
from torg.kit.http import Request, Route, Urgency, delete, get, patch, post, put

SUPPORT = frozenset({Role.SUPPORT})
ADMIN = frozenset({Role.ADMIN})


def routes(deps: UserDeps) -> Sequence[Route]:
    return (*_users(), *_sessions(), *_addresses(), *_staff())


def _users() -> Sequence[Route]:
    return (
        post("/users", c.RegisterUser, status=201, idempotency="accepted", summary="Register"),
        get("/users/me", c.GetProfile, who=SIGNED_IN, reply_headers=_tagged, summary="Who you are, and what your wallet holds"),
        patch(
            "/users/me", c.ChangeProfile, who=SIGNED_IN, fill={"if_match": lambda request: request.header("if-match")}, reply_headers=_tagged,
            refuses=(412,), summary="Change your profile",
        ),
        post("/users/me/password", c.ChangePassword, who=SIGNED_IN, status=204, refuses=(429,), summary="Change your password"),
        get("/users/me/export", c.ExportMyData, who=SIGNED_IN, reply_headers=_unkept, summary="All that is kept about you, as one document"),
        delete("/users/me", c.EraseMe, who=SIGNED_IN, summary="Erase your account, for good"),
    )  # fmt: skip


def _sessions() -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would keep tokens in clear."""
    signing_in = {"address": lambda request: request.client, "guest_cart_id": _guest_cart}
    return (
        post("/sessions", c.SignIn, status=201, fill=signing_in, reply_headers=_unkept, refuses=(429,), urgency=Urgency.SIGN_IN, summary="Sign in"),
        post("/sessions/refresh", c.RefreshSession, status=201, reply_headers=_unkept, summary="Get a new pair of tokens; a used one ends the session"),
        delete("/sessions/current", c.SignOut, who=SIGNED_IN, summary="Sign out, at once"),
        delete("/sessions", c.SignOutEverywhere, who=SIGNED_IN, summary="Sign out everywhere"),
    )


def _addresses() -> Sequence[Route]:
    return (
        get("/users/me/addresses", c.ListAddresses, who=SIGNED_IN, summary="Your saved addresses"),
        post("/users/me/addresses", c.AddAddress, who=SIGNED_IN, status=201, idempotency="accepted", summary="Save an address"),
        put("/users/me/addresses/{address_id}", c.ChangeAddress, who=SIGNED_IN, summary="Change an address"),
        delete("/users/me/addresses/{address_id}", c.RemoveAddress, who=SIGNED_IN, summary="Remove an address"),
    )


def _staff() -> Sequence[Route]:
    return (
        get("/admin/users", c.ListUsers, who=SUPPORT, summary="Users, newest first, by the beginning of their e-mail address"),
        put("/admin/users/{user_id}/roles", c.GrantRoles, who=ADMIN, summary="Set a user's roles"),
    )


def _guest_cart(request: Request) -> str:
    return request.header("x-cart-id") or request.cookie("cart")


def _tagged(profile: c.Profile) -> list[tuple[str, str]]:
    return [("ETag", profile_tag(profile)), ("Cache-Control", "private, no-cache")]


def _unkept(_: object) -> list[tuple[str, str]]:
    return [("Cache-Control", "no-store")]
