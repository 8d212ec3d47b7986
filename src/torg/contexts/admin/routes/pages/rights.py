"""Who may do what, and why somebody was refused."""

from __future__ import annotations

from dataclasses import dataclass

from torg.contexts.admin.routes.pages.visit import Visit
from torg.contexts.user.contracts import ListUsers, User
from torg.kit.access import Decision
from torg.kit.auth import EVERYWHERE, Identity, Role
from torg.kit.errors import NotFound
from torg.kit.http import Response
from torg.kit.policy import Thing


@dataclass(frozen=True)
class Line:
    """A right, who has it under which condition, and with which scopes a program has it."""

    right: str
    meaning: str
    holders: tuple[str, ...]
    programs: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """What was decided about somebody."""

    who: str
    roles: tuple[str, ...]
    decision: Decision


async def rights(visit: Visit) -> Response:
    """All rights; with `who` and `right` in the query also whether somebody may, and by which lines of the policy."""
    access = visit.deps.access
    lines = [Line(right, meaning, access.grantees(right), access.for_programs(right)) for right, meaning in sorted(access.policy.rights.items())]
    return visit.page("rights.html", lines=lines, scopes=access.policy.programs.scopes, answer=await _answer(visit))


async def _answer(visit: Visit) -> Answer | None:
    who, right = visit.query["who"].strip(), visit.query["right"].strip()
    if not right:
        return None
    found = await _somebody(visit, who) if who else None
    scope, access = visit.query["scope"].strip(), visit.deps.access
    lent = frozenset([scope]) if scope else None
    identity = Identity(found.id, frozenset(Role(role) for role in found.roles), scopes=lent, duties=found.duties or EVERYWHERE) if found else None
    own = {"own": found.id if found else "", "other": "somebody else"}.get(visit.query["whose"])
    of = Thing(owner=own, warehouse=visit.query["warehouse"].strip(), city=visit.query["city"].strip())
    return Answer(found.email if found else "guest", found.roles if found else (), access.why(identity, right, of, visit.deps.clock()))


async def _somebody(visit: Visit, email: str) -> User:
    for user in (await visit.ask(ListUsers(query=email, limit=1))).items:
        return user
    raise NotFound("user.not_found", f"nobody's e-mail address begins with {email}")
