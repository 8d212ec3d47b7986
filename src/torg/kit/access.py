"""Who may do what: one policy, as data, asked by every route and by every handler that looks at somebody's things.

A right is `what:read` or `what:write`; nobody has one that the policy does not grant. Grants go to roles (RBAC), and may hold under conditions: for what is
one's own, where one works, up to an amount, at some hours (ABAC). The edge asks before a handler runs, whether somebody can have the right at all; the handler
asks with the thing at hand.

A program that acts for somebody (an API key, an OAuth client) has what they have, of the rights that its scopes lend."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec
import msgspec.inspect

from torg.kit.auth import STAFF, Identity, Role
from torg.kit.errors import Forbidden, Unauthenticated
from torg.kit.policy import ANY, EVERYTHING, GUEST, MEMBER, OPENID, POLICY, Grant, Policy, Thing, read
from torg.kit.values import Language, in_language

PUBLIC: Final = "shop:read"
"""What nobody is kept from: pages that ask by themselves who it is, pictures, descriptions, whether the process lives."""

HIDDEN: Final = "—"
"""Stands where a text is not shown that can't be empty."""

V = TypeVar("V", bound=msgspec.Struct)


@dataclass(frozen=True)
class Decision:
    """`because` has a line for each grant that was looked at."""

    allowed: bool
    because: tuple[str, ...]


@dataclass
class Access:
    """The policy, as it is asked: by roles first, whose grants are looked up once."""

    policy: Policy
    _held: dict[frozenset[str], dict[str, tuple[Grant, ...]]] = field(default_factory=dict)
    _lending: dict[str, frozenset[str]] = field(init=False)
    """The scopes that lend each right."""

    def __post_init__(self) -> None:
        self._lending = {right: frozenset(self.scopes_for(right)) for right in self.policy.rights}

    @classmethod
    def read(cls, file: Path = POLICY) -> Access:
        """Raises BadPolicy with everything that is wrong with the file."""
        return cls(read(file))

    @classmethod
    def of_the_shop(cls) -> Access:
        """The policy that comes with the shop."""
        return _of_the_shop()

    # ---------------------------------------------------------------- asking

    def enter(self, identity: Identity | None, right: str) -> None:
        """At the edge, before it is known what it is about. Raises Unauthenticated or Forbidden unless they can have the right at all."""
        if self.grants(identity, right):
            return
        if identity is None:
            raise Unauthenticated("session.required", "sign in first: send 'Authorization: Bearer <access token>'")
        if not self.lends(identity, right):
            raise self._lent_too_little(identity, right)
        if identity.lacks_factor:
            raise Forbidden("factor.required", "who works here needs a second factor: set one up at /profile/second-factor")
        raise Forbidden("role.required", f"this is for {' and '.join(self.holders(right)) or 'nobody'}: it needs the right {right}")

    def allows(self, identity: Identity | None, right: str, of: Thing = ANY, now: datetime | None = None) -> bool:
        """Whether one of their grants holds for this thing, at this time."""
        return any(not grant.unmet(identity, of, now) for grant in self.grants(identity, right))

    def require(self, identity: Identity | None, right: str, of: Thing = ANY, now: datetime | None = None) -> None:
        """Raises as `enter` does; Forbidden `access.condition` where no grant of theirs holds for this thing."""
        self.enter(identity, right)
        unmet = [grant.unmet(identity, of, now) for grant in self.grants(identity, right)]
        if all(unmet):
            raise Forbidden("access.condition", f"you have the right {right} " + " or ".join(dict.fromkeys(unmet)))

    def sees_all(self, identity: Identity | None, right: str) -> bool:
        """Whether they have the right for other people's things as well."""
        return any(not grant.own for grant in self.grants(identity, right))

    def seen(self, identity: Identity | None, kind: str, record: V, owner: str = "") -> V:
        """The record with only what they see of it, and all of it where they are its owner; of the rest its default, an empty text, a dash, or
        None."""
        shown = None if identity and owner == identity.user_id else self.fields(identity, kind)
        return record if shown is None else _only(record, shown)

    def fields(self, identity: Identity | None, kind: str) -> frozenset[str] | None:
        """The fields of such records that they see, a dot before those of a record within; None for all of them."""
        by_role, roles = self.policy.fields.get(kind, {}), _roles(identity)
        shown = frozenset[str]().union(*(by_role.get(role, ()) for role in roles))
        return None if Role.ADMIN in roles or EVERYTHING in shown else shown

    # ---------------------------------------------------------------- programs

    def lends(self, identity: Identity, right: str) -> bool:
        """Whether it is a person who asks, or a program with a scope for this."""
        return identity.scopes is None or not identity.scopes.isdisjoint(self._lending.get(right, _NO_SCOPES))

    def scopes_for(self, right: str) -> tuple[str, ...]:
        """The scopes that lend a right, in the policy's order."""
        return tuple(name for name, scope in self.policy.programs.scopes.items() if right in scope.rights)

    def scopes_of_use(self, identity: Identity) -> tuple[str, ...]:
        """The scopes for API keys that lend anything of what this person has, and not everybody."""
        scopes = self.policy.programs.scopes.items()
        return tuple(name for name, scope in scopes if name not in OPENID and any(self._is_of_use(identity, right) for right in scope.rights))

    def _is_of_use(self, identity: Identity, right: str) -> bool:
        return bool(self.grants(identity, right)) and not self.without_scope(right)

    def scope_words(self, name: str, language: Language) -> str:
        """What a program with it may do; its name for one that the policy has no more."""
        scope = self.policy.programs.scopes.get(name)
        return in_language(scope.en, scope.ru, language) if scope else name

    def for_programs(self, right: str) -> tuple[str, ...]:
        """What a program needs for a right, in words: one of some scopes, or nothing, or to be a person."""
        return (*self.scopes_for(right), *(("as a guest",) if self.without_scope(right) else ())) or ("never",)

    def without_scope(self, right: str) -> bool:
        """Whether a program may do it without any scope, as a guest."""
        return right in self.policy.programs.as_guests

    def unknown_scopes(self, names: Iterable[str], of_keys: bool = False) -> list[str]:
        """Those that there are not, or not for API keys."""
        return [name for name in names if name not in self.policy.programs.scopes or (of_keys and name in OPENID)]

    def _lent_too_little(self, identity: Identity, right: str) -> Forbidden:
        if scopes := self.scopes_for(right):
            has = " ".join(sorted(identity.scopes or ())) or "none"
            return Forbidden("scope.required", f"this program lacks the scope {' or '.join(scopes)}, which lends {right}; it has {has}")
        return Forbidden("scope.never", f"no program may do this for you: sign in yourself ({right} is for people alone)")

    # ---------------------------------------------------------------- explaining

    def why(self, identity: Identity | None, right: str, of: Thing = ANY, now: datetime | None = None) -> Decision:
        """What is decided, and by which lines of the policy."""
        if right not in self.policy.rights:
            return Decision(False, (f"there is no right {right}",))
        if identity and not self.lends(identity, right):
            if self.without_scope(right):
                asked = self.why(None, right, of, now)
                return Decision(asked.allowed, (f"a program may do this as a guest: no scope of its own lends {right}", *asked.because))
            return Decision(False, (f"- {self._lent_too_little(identity, right).detail}",))
        lines, allowed, roles = [], False, _roles(identity)
        for grant in self.policy.grants:
            if right not in grant.rights and EVERYTHING not in grant.rights:
                continue
            what = f"{grant.to} has {right}" + (f" ({grant.words})" if grant.words else "")
            if grant.to not in roles:
                lines.append(f"- {what}, and they are not {grant.to}")
            elif unmet := grant.unmet(identity, of, now):
                lines.append(f"- {what}: only {unmet}")
            else:
                allowed = True
                lines.append(f"+ {what}")
        return Decision(allowed, tuple(lines) or (f"- nobody has {right}",))

    def holders(self, right: str) -> list[str]:
        """The roles that have it, under whatever condition."""
        return sorted({grant.to for grant in self.policy.grants if right in grant.rights or EVERYTHING in grant.rights})

    def grantees(self, right: str) -> tuple[str, ...]:
        """Who has it, with the conditions in words."""
        grants = [grant for grant in self.policy.grants if right in grant.rights or EVERYTHING in grant.rights]
        return tuple(grant.to + (f" ({grant.words})" if grant.words else "") for grant in grants)

    def for_staff_only(self, right: str) -> bool:
        return set(self.holders(right)) <= STAFF

    def knows(self, right: str) -> bool:
        return right in self.policy.rights

    def grants(self, identity: Identity | None, right: str) -> tuple[Grant, ...]:
        """What gives it to them, under whatever condition. A program without a scope for it is a guest, or nobody at all."""
        if identity is not None and identity.scopes is not None and not self.lends(identity, right):
            return self.grants(None, right) if self.without_scope(right) else ()
        roles = identity.roles if identity else _NO_ROLES
        key = roles if identity else _GUESTS
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = self._rights_of(_roles(identity))
        return held.get(right, ())

    def _rights_of(self, roles: Collection[str]) -> dict[str, tuple[Grant, ...]]:
        held: dict[str, tuple[Grant, ...]] = {}
        for grant in self.policy.grants:
            if grant.to in roles:
                for right in self.policy.rights if EVERYTHING in grant.rights else grant.rights:
                    held[right] = (*held.get(right, ()), grant)
        return held


@cache
def _of_the_shop() -> Access:
    return Access.read()


_NO_ROLES: Final = frozenset[Role]()
_NO_SCOPES: Final = frozenset[str]()
_GUESTS: Final = frozenset[str]((GUEST,))


def _roles(identity: Identity | None) -> frozenset[str]:
    return frozenset((GUEST, MEMBER, *identity.roles)) if identity else _GUESTS


def _only(record: V, shown: frozenset[str]) -> V:
    hidden = {name: blank for name, blank in _blanks(type(record)) if name not in shown}
    for name in hidden:
        within = getattr(record, name)
        if isinstance(within, msgspec.Struct) and (some := frozenset(one.partition(".")[2] for one in shown if one.startswith(f"{name}."))):
            hidden[name] = _only(within, some)
    return msgspec.structs.replace(record, **hidden)


@cache
def _blanks(kind: type[msgspec.Struct]) -> tuple[tuple[str, object], ...]:
    """What stands in the place of each field that is not shown."""
    return tuple((info.name, _blank(info)) for info in msgspec.structs.fields(kind))


def _blank(info: msgspec.structs.FieldInfo) -> object:
    if info.default is not msgspec.NODEFAULT:
        return info.default
    kind = msgspec.inspect.type_info(info.type)
    if isinstance(kind, msgspec.inspect.StrType):
        return HIDDEN if kind.min_length else ""
    return None
