"""What the staff do with users, over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.routes.answers import unkept
from torg.kit.http import Route, delete, get, post, put


def staff() -> Sequence[Route]:
    return (
        get("/admin/users", c.ListUsers, right="users:read", summary="Users, newest first, by the beginning of their e-mail address"),
        post("/admin/users/sessions/rebuild", c.RebuildSessions, right="tables:write", summary="End the sessions that outlived their users"),
        get("/admin/users/{user_id}/sessions", c.ListSessionsOf, right="user-sessions:read", reply_headers=unkept, summary="Where somebody is signed in"),
        delete(
            "/admin/users/{user_id}/sessions/{session_id}",
            c.EndSessionOf,
            about=c.ListSessionsOf,
            right="user-sessions:write",
            summary="End one of somebody's sessions, at once; they are told",
        ),
        delete(
            "/admin/users/{user_id}/sessions",
            c.EndSessionsOf,
            about=c.ListSessionsOf,
            right="user-sessions:write",
            summary="End all of somebody's sessions, at once; they are told",
        ),
        put("/admin/users/{user_id}/roles", c.GrantRoles, about=c.GetUser, right="users:write", summary="Set a user's roles"),
    )
