"""The policy as its file has it: rights, who is granted them under which conditions, what programs are lent, which fields each role sees."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from torg.kit.auth import Identity, Role

GUEST: Final = "guest"
MEMBER: Final = "member"
"""Everybody, and everybody who has signed in: they are not given to anybody, one has them."""
EVERYTHING: Final = "*"
WHO: Final = (GUEST, MEMBER, *Role)
POLICY: Final = Path(__file__).parents[1] / "policy.toml"
OPENID: Final = ("openid", "profile", "email", "offline_access")
"""The scopes that OpenID Connect has named."""
FOR_PEOPLE: Final = "self"
"""What rights over a person's own keys and traces begin with: no scope ever lends them."""

Place = Literal["", "theirs"]


class BadPolicy(ValueError):
    """A policy that can't be; says all that is wrong with it."""


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rights of one role. `own`: for what is theirs; `warehouse`, `city`: "theirs" is where they work; `up_to`: minor units that it is about at most;
    `since` and `until`: the hours of a day in `zone` at which they have it, over midnight where `until` is the earlier one."""

    to: str
    rights: tuple[str, ...]
    own: bool = False
    warehouse: Place = ""
    city: Place = ""
    up_to: int | None = None
    since: time | None = None
    until: time | None = None
    zone: str = "UTC"

    def unmet(self, identity: Identity | None, of: Thing, now: datetime | None) -> str:
        """The first condition that does not hold, in words; empty when all do. What the thing doesn't say is not asked."""
        if self.own and of.owner is not None and (identity is None or of.owner != identity.user_id):
            return "for what is their own"
        if self.warehouse and identity and not _among(of.warehouse, identity.duties.warehouses):
            return f"in {_listed(identity.duties.warehouses)}, and this is {of.warehouse}"
        if self.city and identity and not _among(of.city, identity.duties.cities):
            return f"in {_listed(identity.duties.cities)}, and this is {of.city}"
        if self.up_to is not None and of.amount is not None and of.amount > self.up_to:
            return f"up to {self.up_to} minor units, and this is about {of.amount}"
        if now is not None and not self._at(now):
            return f"from {self.since or time()} until {self.until or time()} ({self.zone})"
        return ""

    @property
    def words(self) -> str:
        """Its conditions, for people."""
        hours = f"{self.since or time():%H:%M} to {self.until or time():%H:%M} {self.zone}" if self.since or self.until else ""
        some = (
            "their own" if self.own else "", "their warehouses" if self.warehouse else "", "their cities" if self.city else "",
            f"up to {self.up_to}" if self.up_to is not None else "", hours,
        )  # fmt: skip
        return ", ".join(filter(None, some))

    def _at(self, now: datetime) -> bool:
        if self.since is None and self.until is None:
            return True
        clock, since, until = now.astimezone(ZoneInfo(self.zone)).time(), self.since or time(), self.until or time.max
        return since <= clock < until if since <= until else clock >= since or clock < until


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rights that are lent to a program together; `en` and `ru` end the sentence "It may …", for the person who lends them."""

    en: str
    ru: str
    rights: tuple[str, ...] = ()


class Programs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What programs may have. `never`: what people do themselves; `as_guests`: what a program may do without a scope, and then nobody knows for whom."""

    never: tuple[str, ...] = ()
    as_guests: tuple[str, ...] = ()
    scopes: dict[str, Scope] = {}


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As the file has it. `rights` are all there are, with what they stand for; `fields` names, by kind of record, the fields that each role
    sees; `delivery.city` is a field of the record in the field `delivery`."""

    rights: dict[str, str]
    grants: tuple[Grant, ...]
    programs: Programs = Programs()
    fields: dict[str, dict[str, tuple[str, ...]]] = {}


@dataclass(frozen=True, slots=True)
class Thing:
    """What a right is asked about; None and empty where it doesn't matter."""

    owner: str | None = None
    warehouse: str = ""
    city: str = ""
    amount: int | None = None


ANY: Final = Thing()


def read(file: Path = POLICY) -> Policy:
    """Raises BadPolicy with everything that is wrong with the file."""
    try:
        policy = msgspec.toml.decode(file.read_bytes(), type=Policy)
    except OSError as error:
        raise BadPolicy(f"{file} can't be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise BadPolicy(f"{file}: {error}") from error
    if faults := tuple(_faults(policy)):
        raise BadPolicy(f"{file}:\n  " + "\n  ".join(faults))
    return policy


def _among(place: str, theirs: tuple[str, ...] | None) -> bool:
    return theirs is None or not place or place in theirs


def _listed(some: Iterable[str] | None) -> str:
    return ", ".join(some or ()) or "no place at all"


def _faults(policy: Policy) -> Iterable[str]:
    for right in policy.rights:
        if right.partition(":")[2] not in ("read", "write"):
            yield f"{right!r} is no right: they are called what:read or what:write"
    for grant in policy.grants:
        if grant.to not in WHO:
            yield f"{grant.to!r} is no role: there are {', '.join(WHO)}"
        for right in grant.rights:
            if right != EVERYTHING and right not in policy.rights:
                yield f"{grant.to} is granted {right!r}, which is none of the rights"
        yield from _bad_zone(grant.zone)
        if grant.to == GUEST and (grant.own or grant.warehouse or grant.city):
            yield "guests have nothing of their own, and work nowhere"
    yield from _faults_of_programs(policy)
    for kind, by_role in policy.fields.items():
        for role in sorted(by_role.keys() - set(WHO)):
            yield f"fields of {kind} are shown to {role!r}, which is no role"


def _faults_of_programs(policy: Policy) -> Iterable[str]:
    """Each right is lent by scopes, or done by programs as guests, or never theirs: and it is said which."""
    programs = policy.programs
    lent = {right for scope in programs.scopes.values() for right in scope.rights}
    for name in programs.scopes:
        if name not in OPENID and name.partition(":")[2] not in ("read", "write"):
            yield f"{name!r} is no scope: they are called what:read or what:write, or one of OpenID Connect's ({', '.join(OPENID)})"
    for name in OPENID:
        if name not in programs.scopes:
            yield f"the scope {name!r} is missing: OpenID Connect has it"
    for right in (*lent, *programs.never, *programs.as_guests):
        if right not in policy.rights:
            yield f"programs are spoken of with {right!r}, which is none of the rights"
    for right in policy.rights:
        if right not in lent and right not in programs.never and right not in programs.as_guests:
            yield f"say of {right!r} what programs may: put it in a scope, in never or in as_guests of [programs]"
        if right in programs.never and (right in lent or right in programs.as_guests):
            yield f"{right!r} is never for programs, and is lent to them all the same"
        if right.startswith(f"{FOR_PEOPLE}:") and right not in programs.never:
            yield f"{right!r} is for people alone: put it in never of [programs]"
    guests = {right for grant in policy.grants if grant.to == GUEST for right in grant.rights}
    for right in programs.as_guests:
        if right not in guests:
            yield f"programs can't do {right!r} as guests: guests don't have it"


def _bad_zone(name: str) -> Iterable[str]:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        yield f"{name!r} is no time zone: use one such as Europe/Moscow"
