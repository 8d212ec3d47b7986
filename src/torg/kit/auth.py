"""Who acts: identities and roles. How a token becomes an identity is the user context's business; composition hands the edge a function."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum

import msgspec


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


class Duties(msgspec.Struct, frozen=True):
    """Where somebody of the staff works: codes of warehouses, names of cities; None is everywhere."""

    warehouses: tuple[str, ...] | None = None
    cities: tuple[str, ...] | None = None


EVERYWHERE = Duties()


class Identity(msgspec.Struct, frozen=True):
    """Somebody who has signed in. The edge fills every message field of this type; no body can.

    A program that acts for them has `scopes`, which restrict it, and a `client_id` where it is an OAuth client; with an API key or as a client it
    belongs to a `tier`. `lacks_factor`: they are of the staff, and their roles there are held back until they have a second factor. `bound_to`: the
    thumbprint of the key that its token is bound to, which has to be proven each time (DPoP)."""

    user_id: str
    roles: frozenset[Role]
    session_id: str = ""
    scopes: frozenset[str] | None = None
    client_id: str = ""
    tier: str = ""
    duties: Duties = EVERYWHERE
    lacks_factor: bool = False
    bound_to: str = ""

    def is_one_of(self, roles: frozenset[Role]) -> bool:
        """Whether they have one of the roles; an administrator has all."""
        return Role.ADMIN in self.roles or not self.roles.isdisjoint(roles)


Authenticate = Callable[[str], Awaitable[Identity | None]]
"""Turns an access token or API key into the identity behind it, None for one that is unknown, expired or revoked."""
