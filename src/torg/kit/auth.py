"""Who acts: identities and roles. How a token becomes an identity is the user context's business; composition hands the edge a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

import msgspec

from torg.kit.errors import Forbidden, Unauthenticated


class Role(StrEnum):
    CUSTOMER = "customer"
    SUPPORT = "support"
    WAREHOUSE = "warehouse"
    COURIER = "courier"
    MODERATOR = "moderator"
    ANALYST = "analyst"
    ADMIN = "admin"
    PARTNER = "partner"


STAFF = frozenset(Role) - {Role.CUSTOMER, Role.PARTNER}


class Identity(msgspec.Struct, frozen=True):
    """Somebody who has signed in. The edge fills every message field of this type; no body can."""

    user_id: str
    roles: frozenset[Role]
    session_id: str = ""

    def is_one_of(self, roles: frozenset[Role]) -> bool:
        """Whether they have one of the roles; an administrator has all."""
        return Role.ADMIN in self.roles or not self.roles.isdisjoint(roles)


Authenticate = Callable[[str], Awaitable[Identity | None]]
"""Turns a session token into the identity behind it, None for one that is unknown, expired or revoked."""

ANYONE: frozenset[Role] | None = None
"""No sign-in needed."""
SIGNED_IN: frozenset[Role] = frozenset()
"""Any role will do."""


def permit(identity: Identity | None, who: frozenset[Role] | None) -> None:
    """Raises Unauthenticated or Forbidden unless `who` includes them."""
    if who is None:
        return
    if identity is None:
        raise Unauthenticated("session.required", "sign in first: send 'Authorization: Bearer <access token>'")
    if who and not identity.is_one_of(who):
        raise Forbidden("role.required", f"this is for {', '.join(sorted(who))}")
