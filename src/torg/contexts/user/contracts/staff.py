"""What the staff do with users."""

from __future__ import annotations

from typing import Annotated

import msgspec

from torg.contexts.user.contracts.accounts import User
from torg.contexts.user.contracts.sessions import Sessions
from torg.kit.auth import Identity, Role
from torg.kit.messages import Command, Event, Query, message
from torg.kit.rebuilding import Mended, Rebuild
from torg.kit.values import Limit, Text


class UserPage(msgspec.Struct, frozen=True):
    items: tuple[User, ...]
    next_cursor: str | None


@message("user.list_users")
class ListUsers(Query[UserPage], frozen=True, kw_only=True):
    """Users newest first, as far as the viewer sees them; `query` is the beginning of an e-mail address."""

    query: str = ""
    cursor: str = ""
    limit: Limit = 24
    viewer: Identity | None = None


Places = Annotated[tuple[Text, ...], msgspec.Meta(max_length=100)]


@message("user.get_user")
class GetUser(Query[User], frozen=True):
    """Raises NotFound `user.not_found`."""

    user_id: str


@message("user.grant_roles")
class GrantRoles(Command[User], frozen=True, kw_only=True):
    """Has a user have just these roles, at once: everywhere, or in just these warehouses and cities. Raises NotFound
    `user.not_found`, DomainError `user.last_admin`."""

    user_id: str
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
    warehouses: Places | None = None
    cities: Places | None = None


@message("user.list_sessions_of")
class ListSessionsOf(Query[Sessions], frozen=True):
    """Where somebody is signed in, those used last first: for the staff. Raises NotFound `user.not_found`."""

    user_id: str


@message("user.end_session_of")
class EndSessionOf(Command[None], frozen=True):
    """Ends one of somebody's sessions, at once, and tells them. Raises NotFound `session.not_found`."""

    user_id: str
    session_id: str


@message("user.end_sessions_of")
class EndSessionsOf(Command[None], frozen=True):
    """Ends all of somebody's sessions, at once, and tells them. Raises NotFound `user.not_found`."""

    user_id: str


@message("user.sessions_ended")
class SessionsEnded(Event, frozen=True):
    """The staff have ended some of a user's sessions."""

    user_id: str
    sessions: tuple[str, ...]


@message("user.rebuild_sessions")
class RebuildSessions(Rebuild, frozen=True, kw_only=True):
    """Ends the sessions that outlived their users."""


@message("user.sessions_mended")
class SessionsMended(Mended, frozen=True, kw_only=True):
    """An erased user had sessions, and has none now."""
