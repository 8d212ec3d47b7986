"""`torg policy`: who may do what, and why."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cyclopts import App
from rich.console import Console
from rich.table import Table

from torg.kit import settings as settings_
from torg.kit.access import Access
from torg.kit.auth import Duties, Identity, Role
from torg.kit.policy import MEMBER, WHO, BadPolicy, Thing
from torg.kit.values import moment, utc_now

app = App(name="policy", help="Who may do what in this shop, and why.")
T = TypeVar("T")
MYSELF = "me"


@app.default
def shown() -> None:
    """Print every right, who has it under which condition, and the scope with which a program has it; then the scopes, as
    people are asked for them, and the fields of records that each role sees."""
    access, console = _or_explain(_policy), Console()
    table = Table("right", "stands for", "who has it", "programs", title="Rights", title_justify="left")
    for right, meaning in sorted(access.policy.rights.items()):
        table.add_row(right, meaning, "\n".join(access.grantees(right)), "\n".join(access.for_programs(right)))
    console.print(table)
    table = Table("scope", "a program with it may", "rights", title="Scopes", title_justify="left")
    for name, scope in access.policy.programs.scopes.items():
        table.add_row(name, scope.en, "\n".join(scope.rights))
    console.print(table)
    table = Table("record", "shown to", "fields", title="Fields", title_justify="left")
    for kind, by_role in access.policy.fields.items():
        for role, fields in by_role.items():
            table.add_row(kind, role, ", ".join(fields))
    console.print(table)


@app.command
def why(
    roles: str,
    right: str,
    *,
    theirs: bool | None = None,
    warehouse: str = "",
    city: str = "",
    works_at: str = "",
    works_in: str = "",
    amount: int | None = None,
    scopes: str | None = None,
    at: datetime | None = None,
) -> None:
    """Say whether somebody with these roles may do something, and by which lines of the policy. Ends with 1 where they may not.

    Parameters
    ----------
    roles
        Their roles, with commas; guest for somebody who has not signed in, member for somebody without any role.
    right
        What they want to do, such as stock:write; `torg policy` lists all.
    theirs
        Whether it is about something of their own.
    warehouse
        The warehouse that it is about.
    city
        The city that it is about.
    works_at
        Their warehouses, with commas; all where none is named.
    works_in
        Their cities, with commas; all where none is named.
    amount
        What it is about, in minor units.
    scopes
        The scopes, with commas, of a program that asks for them.
    at
        When, such as 2026-11-22T03:00:00+03:00; in UTC where no zone is named. Now, if left out.
    """
    access, held = _or_explain(_policy), [role.strip() for role in roles.split(",") if role.strip()]
    if unknown := [role for role in held if role not in WHO]:
        _fail(f"{', '.join(unknown)} is no role: there are {', '.join(WHO)}")
    duties = Duties(_listed(works_at), _listed(works_in))
    lent = None if scopes is None else frozenset(_listed(scopes) or ())
    if unknown := access.unknown_scopes(sorted(lent or ())):
        _fail(f"{', '.join(unknown)} is no scope: there are {', '.join(access.policy.programs.scopes)}")
    known = frozenset(Role(role) for role in held if role in set(Role))
    identity = Identity(MYSELF, known, scopes=lent, duties=duties) if set(held) & {MEMBER, *Role} else None
    of = Thing(None if theirs is None else MYSELF if theirs else "somebody else", warehouse, city, amount)
    decision = access.why(identity, right, of, moment(at.isoformat()) if at else utc_now())
    console = Console()
    console.print(f"{roles} [bold]{'may' if decision.allowed else 'may not'}[/] {right}" + (f": {access.policy.rights[right]}" if access.knows(right) else ""))
    for line in decision.because:
        console.print(f"  {line}", highlight=False, soft_wrap=True)
    sys.exit(0 if decision.allowed else 1)


def _policy() -> Access:
    settings = settings_.load(os.environ)
    return Access.read(Path(settings.policy)) if settings.policy else Access.of_the_shop()


def _or_explain(work: Callable[[], T]) -> T:
    try:
        return work()
    except (BadPolicy, settings_.BadSettings) as error:
        _fail(str(error))
        raise


def _fail(sentence: str) -> None:
    print(f"torg: {sentence}", file=sys.stderr)  # noqa: T201 the command line's own voice
    sys.exit(2)


def _listed(names: str) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in names.split(",")) if names else None
