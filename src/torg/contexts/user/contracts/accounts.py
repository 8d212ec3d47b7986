"""People: how they register, what they are called, how to reach them."""

from __future__ import annotations

import re
from datetime import date, datetime

import msgspec
from msgspec import UNSET, UnsetType

from torg.contexts.user.contracts.addresses import AddressView
from torg.contexts.user.contracts.api_keys import ApiKeyView
from torg.contexts.user.contracts.oauth import ConsentView
from torg.contexts.user.contracts.sessions import SessionView
from torg.kit.auth import Duties, Identity, Role
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.passwords import weakness
from torg.kit.values import Language, Money


@message("user.registered")
class UserRegistered(Event, frozen=True, kw_only=True):
    """Somebody has an account. `self_made`: they came themselves; false for one whom an operator or the demonstration made."""

    user_id: str
    email: str
    full_name: str
    city: str
    language: Language
    at: datetime
    self_made: bool = True


@message("user.changed")
class UserChanged(Event, frozen=True, kw_only=True):
    """A user's name, e-mail address, city or language changed; this is how they are reached now."""

    user_id: str
    email: str
    full_name: str
    city: str
    language: Language


@message("user.erased")
class UserErased(Event, frozen=True):
    """A user was erased: forget what is personal about them; bookkeeping stays."""

    user_id: str


@message("user.roles_changed")
class RolesChanged(Event, frozen=True):
    """What a user may do from now on, and where."""

    user_id: str
    roles: tuple[str, ...]
    duties: Duties | None = None


@message("user.password_changed")
class PasswordChanged(Event, frozen=True):
    """A user has a new password, and their other sessions have ended."""

    user_id: str


OLDEST = 130  # years
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@(?=.{4,190}$)[\w-]{1,63}(\.[\w-]{1,63})*\.[^\W\d_][\w-]{1,62}")


def _email(value: object, _: datetime) -> str | None:
    good = not isinstance(value, str) or (_EMAIL.fullmatch(value) and ".." not in value and value.isprintable())
    return None if good else "this must be an e-mail address, such as anna@example.com"


def _password(value: object, _: datetime) -> str | None:
    return weakness(value) if isinstance(value, str) else None


def _name(value: object, _: datetime) -> str | None:
    good = not isinstance(value, str) or (1 <= len(value.strip()) <= 200 and value.isprintable())
    return None if good else "say how to address you, in 1 to 200 characters of one line"


def _city(value: object, _: datetime) -> str | None:
    good = not isinstance(value, str) or (len(value) <= 200 and value.isprintable())
    return None if good else "a city's name has 200 characters of one line at most"


def _birth_date(value: object, now: datetime) -> str | None:
    today = now.date()
    if isinstance(value, date) and not today.year - OLDEST <= value.year <= today.year:
        return f"this must be a date of the last {OLDEST} years"
    return "this must not be in the future" if isinstance(value, date) and value > today else None


PERSON: dict[str, Rule] = {"email": _email, "password": _password, "full_name": _name, "city": _city, "birth_date": _birth_date}
NEW_PASSWORD: dict[str, Rule] = {"new_password": _password}


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person as they see themselves. `duties` say where somebody of the staff works, who does not work everywhere."""

    id: str
    email: str
    full_name: str
    city: str
    birth_date: date | None
    roles: tuple[str, ...]
    created_at: datetime
    email_confirmed: bool = False
    duties: Duties | None = None


class Profile(User, frozen=True, kw_only=True):
    """A user with what their wallet holds; null while payments do not answer. `new_email` is the address that they want instead, and have not confirmed."""

    balance: Money | None
    new_email: str = ""


class Contact(msgspec.Struct, frozen=True):
    """How to address and reach a user."""

    user_id: str
    full_name: str
    email: str
    city: str
    language: Language


@message("user.get_contact")
class GetContact(Query[Contact], frozen=True):
    """Raises NotFound `user.not_found`."""

    user_id: str


@message("user.register")
class RegisterUser(Command[User], frozen=True, kw_only=True):
    """Opens an account. Raises DomainError `user.email_taken`, Invalid for a weak password."""

    RULES = PERSON

    email: str
    password: str
    full_name: str
    city: str = ""
    birth_date: date | None = None
    language: Language = Language.EN


@message("user.ensure")
class EnsureUser(Command[User], frozen=True, kw_only=True):
    """Makes sure that there is such a user, with just these roles and this password: for demonstrations and operators. An empty password means
    that nobody can sign in. Asking again changes nothing."""

    IDEMPOTENT = True

    email: str
    password: str
    full_name: str
    city: str = ""
    roles: tuple[Role, ...] = (Role.CUSTOMER,)
    birth_date: date | None = None
    language: Language = Language.EN


@message("user.get_profile")
class GetProfile(Query[Profile], frozen=True):
    """The holder's profile, with what their wallet holds."""

    holder: Identity


@message("user.change_profile")
class ChangeProfile(Command[Profile], frozen=True, kw_only=True):
    """Changes what is given; another e-mail address counts once it is confirmed by the letter that goes there.

    Raises DomainError `user.email_taken`; Forbidden `session.reauthenticate` for another e-mail address; PreconditionFailed
    `user.changed` where If-Match (`if_match`) names an ETag that has changed since."""

    RULES = PERSON

    holder: Identity
    if_match: str = ""
    email: str | UnsetType = UNSET
    full_name: str | UnsetType = UNSET
    city: str | UnsetType = UNSET
    birth_date: date | UnsetType | None = UNSET
    language: Language | UnsetType = UNSET


@message("user.change_password")
class ChangePassword(Command[None], frozen=True, kw_only=True):
    """Ends all other sessions. Raises Invalid for a wrong current or a weak new password."""

    RULES = NEW_PASSWORD

    holder: Identity
    current_password: str
    new_password: str


@message("user.erase")
class EraseMe(Command[None], frozen=True):
    """Forgets who they were, for good: sessions end, the e-mail address is free again; orders and payments keep the bare id. Raises Forbidden
    `session.reauthenticate`."""

    holder: Identity


class PersonalData(msgspec.Struct, frozen=True, kw_only=True):
    """All that the shop keeps about a person, each section as its own context shows it. `missing` names the sections whose context did not
    answer: ask again later; `programs` are those that were let in, `outside` the providers that they may sign in with."""

    profile: Profile
    language: Language
    addresses: tuple[AddressView, ...]
    sessions: tuple[SessionView, ...]
    api_keys: tuple[ApiKeyView, ...] = ()
    programs: tuple[ConsentView, ...] = ()
    outside: tuple[str, ...] = ()
    cart: tuple[msgspec.Raw, ...] = ()
    orders: tuple[msgspec.Raw, ...] = ()
    payments: tuple[msgspec.Raw, ...] = ()
    wallet: tuple[msgspec.Raw, ...] = ()
    deliveries: tuple[msgspec.Raw, ...] = ()
    reviews: tuple[msgspec.Raw, ...] = ()
    notifications: tuple[msgspec.Raw, ...] = ()
    missing: tuple[str, ...]
    exported_at: datetime


@message("user.export")
class ExportMyData(Query[PersonalData], frozen=True):
    """All that the contexts keep about the holder; `missing` names those that did not answer. Raises Forbidden `session.reauthenticate`."""

    holder: Identity
