"""Accounts over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.model.accounts import profile_tag
from torg.contexts.user.routes.answers import unkept
from torg.kit.http import Route, delete, get, patch, post


def accounts() -> Sequence[Route]:
    return (
        post("/users", c.RegisterUser, right="registration:write", status=201, idempotency="accepted", summary="Register"),
        get("/users/me", c.GetProfile, right="account:read", reply_headers=_tagged, summary="Who you are, and what your wallet holds"),
        patch(
            "/users/me", c.ChangeProfile, about=c.GetProfile, right="account:write", fill={"if_match": lambda request: request.header("if-match")},
            reply_headers=_tagged,
            refuses=(412,), summary="Change your profile",
        ),
        post("/users/me/password", c.ChangePassword, right="self:write", status=204, refuses=(429,), summary="Change your password"),
        get("/users/me/export", c.ExportMyData, right="self:read", reply_headers=unkept, summary="All that is kept about you, as one document"),
        delete("/users/me", c.EraseMe, right="self:write", summary="Erase your account, for good"),
    )  # fmt: skip


def _tagged(profile: c.Profile) -> list[tuple[str, str]]:
    return [("ETag", profile_tag(profile)), ("Cache-Control", "private, no-cache")]
