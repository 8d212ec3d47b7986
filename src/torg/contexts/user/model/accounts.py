"""The rules of accounts: what one is, and what password will not do."""

from __future__ import annotations

import hashlib
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, datetime

import msgspec
from msgspec import UNSET

from torg.contexts.user.contracts import ChangeProfile, RolesChanged, User, UserChanged, UserRegistered
from torg.kit.auth import EVERYWHERE, STAFF, Duties, Role
from torg.kit.errors import DomainError, FieldError, Forbidden, Invalid
from torg.kit.passwords import weakness
from torg.kit.values import Language

ADDRESSES = 50  # a user may keep
LONGEST_EMAIL = 320  # characters that can matter (RFC 3696, with its erratum)
SHORTEST_OF_STAFF, FORMER = 12, 4
"""What PCI DSS 4.0.1 asks for, of those whom it is about (8.3.6, 8.3.7): characters, letters and digits among them; and so many passwords, the present one
included, don't come back."""
UNUSABLE = "!"
"""Stands where a password's hash would: nobody can sign in."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user with what is not shown: the password's hash, and the language to write to them in. `confirmed`: letters to the address have come to them."""

    id: str
    email: str
    password_hash: str
    full_name: str
    city: str
    birth_date: date | None
    language: Language
    roles: frozenset[Role]
    confirmed: bool = False
    duties: Duties = EVERYWHERE
    created_at: datetime

    def view(self) -> User:
        return User(
            id=self.id, email=self.email, full_name=self.full_name, city=self.city, birth_date=self.birth_date,
            roles=tuple(sorted(self.roles)), created_at=self.created_at, duties=self.confined_to,
            email_confirmed=self.confirmed,
        )  # fmt: skip

    def registered(self, self_made: bool = True) -> UserRegistered:
        return UserRegistered(
            user_id=self.id, email=self.email, full_name=self.full_name, city=self.city, language=self.language, at=self.created_at, self_made=self_made
        )

    @property
    def works_here(self) -> bool:
        return not STAFF.isdisjoint(self.roles)

    @property
    def confined_to(self) -> Duties | None:
        """Where they work, if not everywhere."""
        return None if self.duties == EVERYWHERE else self.duties

    def roles_changed(self) -> RolesChanged:
        return RolesChanged(self.id, tuple(sorted(self.roles)), self.confined_to)

    def changed(self) -> UserChanged:
        return UserChanged(user_id=self.id, email=self.email, full_name=self.full_name, city=self.city, language=self.language)

    def with_changes(self, change: ChangeProfile) -> Account:
        given = {name: getattr(change, name) for name in ("email", "full_name", "city", "birth_date", "language")}
        return replace(self, **{name: value for name, value in given.items() if value is not UNSET})


def email_key(email: str) -> str:
    """What makes two spellings of an address the same one."""
    return unicodedata.normalize("NFKC", email).casefold()


def is_another(email: str, before: str) -> bool:
    """Whether letters to it might go to somebody else. Some addresses that nobody should have beside each other are different ones to those who deliver
    letters (`masse.example`, `maße.example`)."""
    return email.encode().lower() != before.encode().lower()


def refuse_weak(password: str, email: str, field: str = "password") -> None:
    """Raises Invalid for a password that is too weak, or that anybody who knows the e-mail address would try."""
    local = email_key(email).partition("@")[0]
    sentence = "use something else than your e-mail address" if password.casefold() in (email_key(email), local) else weakness(password)
    if sentence:
        raise Invalid.fields(FieldError(field, "invalid", sentence))


def refuse_weak_of_staff(password: str, field: str) -> None:
    """Raises Invalid."""
    if falls_short(password):
        sentence = f"whoever works here needs {SHORTEST_OF_STAFF} characters or more, with letters and digits among them"
        raise Invalid.fields(FieldError(field, "of_staff", sentence))


def falls_short(password: str) -> bool:
    """Of what PCI DSS asks for."""
    return len(password) < SHORTEST_OF_STAFF or not any(map(str.isalpha, password)) or not any(map(str.isdigit, password))


def used_before(field: str) -> Invalid:
    return Invalid.fields(FieldError(field, "former", f"this is one of the last {FORMER} passwords that you had: use another one"))


def outgrown() -> Forbidden:
    return Forbidden(
        "session.password_outgrown",
        f"whoever works here needs a password of {SHORTEST_OF_STAFF} characters or more, with letters and digits among them: "
        "ask for a letter with a link to a new one",
    )


def email_taken() -> DomainError:
    return DomainError("user.email_taken", "there is an account with this e-mail address: sign in, or use another address")


def profile_tag(profile: User) -> str:
    """The profile's ETag: over everything that can be edited, so that a payment under way does not spoil an edit."""
    edited = msgspec.json.encode((profile.id, profile.email, profile.full_name, profile.city, profile.birth_date, profile.roles))
    return f'"{hashlib.blake2b(edited, digest_size=8).hexdigest()}"'
