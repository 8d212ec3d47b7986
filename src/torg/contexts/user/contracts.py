"""What others may know of users: who signed in, how to reach them, where they live."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from torg.kit.auth import Identity, Role
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.passwords import weakness
from torg.kit.values import Language, Limit, Money, Text

ERASED = "erased"
"""Stands where something personal was."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a parcel goes."""

    city: Text
    street: Text
    postcode: Text
    country: Text = "RU"

    def erased(self) -> Address:
        """What may be kept of a person who was erased: the city, for bookkeeping and reports."""
        return msgspec.structs.replace(self, street=ERASED, postcode=ERASED)


@message("user.authenticate")
class Authenticate(Query[Identity | None], frozen=True):
    """Who holds this access token; None when it is unknown, expired or revoked."""

    token: str


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


@message("user.get_address")
class GetAddress(Query[Address], frozen=True):
    """One of a user's saved addresses. Raises NotFound `address.not_found`."""

    user_id: str
    address_id: str


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
    """What a user may do from now on."""

    user_id: str
    roles: tuple[str, ...]


@message("user.password_changed")
class PasswordChanged(Event, frozen=True):
    """A user has a new password, and their other sessions have ended."""

    user_id: str


@message("user.token_reused")
class TokenReused(Event, frozen=True):
    """A refresh token came a second time, so somebody has a copy of it: the whole session was ended."""

    user_id: str
    session_id: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person as they see themselves."""

    id: str
    email: str
    full_name: str
    city: str
    birth_date: date | None
    roles: tuple[str, ...]
    created_at: datetime


class Profile(User, frozen=True, kw_only=True):
    """A user with what their wallet holds; null while payments do not answer."""

    balance: Money | None


# ---------------------------------------------------------------- rules of single fields

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


# ---------------------------------------------------------------- users


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
    """Changes what is given. Raises DomainError `user.email_taken`; PreconditionFailed `user.changed` where If-Match (`if_match`) names an ETag
    that has changed since."""

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
    """Forgets who they were, for good: sessions end, the e-mail address is free again; orders and payments keep the bare id."""

    holder: Identity


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """Where somebody is signed in."""

    id: str
    address: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class AddressView(Address, frozen=True, kw_only=True):
    """A saved address; one of a user's is the default."""

    id: str
    is_default: bool


class PersonalData(msgspec.Struct, frozen=True, kw_only=True):
    """All that the shop keeps about a person, each section as its own context shows it. `missing` names the sections whose context did not
    answer: ask again later."""

    profile: Profile
    language: Language
    addresses: tuple[AddressView, ...]
    sessions: tuple[SessionView, ...]
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
    """All that the contexts keep about the holder; `missing` names those that did not answer."""

    holder: Identity


# ---------------------------------------------------------------- sessions


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is carried on with. `expires_in` seconds from now the access token ends; the refresh token then buys the next pair, once."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 the scheme's name (RFC 6750)
    expires_in: int


@message("user.sign_in")
class SignIn(Command[Tokens], frozen=True, kw_only=True):
    """Opens a session. Raises Unauthenticated `session.bad_credentials`, the same for an unknown address; TooManyRequests
    `session.too_many_attempts` after many wrong passwords.

    `address` is the caller's network address; `guest_cart_id` names a cart that joins the user's."""

    email: str
    password: str
    address: str = ""
    guest_cart_id: str = ""


@message("user.refresh_session")
class RefreshSession(Command[Tokens], frozen=True):
    """Carries a session on with a new pair of tokens. Raises Unauthenticated `session.bad_refresh_token`; a token that was used before ends its session."""

    refresh_token: str


@message("user.sign_out")
class SignOut(Command[None], frozen=True):
    """Ends the session it is asked with, at once."""

    holder: Identity


@message("user.sign_out_everywhere")
class SignOutEverywhere(Command[None], frozen=True):
    """Ends all sessions of the user."""

    holder: Identity


# ---------------------------------------------------------------- addresses


Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
"""Two letters, as in ISO 3166-1."""


class Addresses(msgspec.Struct, frozen=True):
    items: tuple[AddressView, ...]
    next_cursor: str | None = None


@message("user.list_addresses")
class ListAddresses(Query[Addresses], frozen=True):
    """The default first, then in the order in which they were added."""

    holder: Identity


@message("user.add_address")
class AddAddress(Command[AddressView], frozen=True, kw_only=True):
    """The first one becomes the default. Raises DomainError `address.too_many`."""

    holder: Identity
    city: Text
    street: Text
    postcode: Text
    country: Country = "RU"
    is_default: bool = False


@message("user.change_address")
class ChangeAddress(Command[AddressView], frozen=True, kw_only=True):
    """Raises NotFound `address.not_found`."""

    holder: Identity
    address_id: str
    city: Text
    street: Text
    postcode: Text
    country: Country = "RU"
    is_default: bool = False


@message("user.remove_address")
class RemoveAddress(Command[None], frozen=True):
    """Where it was the default, the oldest other one becomes it. Raises NotFound `address.not_found`."""

    holder: Identity
    address_id: str


# ---------------------------------------------------------------- staff


class UserPage(msgspec.Struct, frozen=True):
    items: tuple[User, ...]
    next_cursor: str | None


@message("user.list_users")
class ListUsers(Query[UserPage], frozen=True, kw_only=True):
    """Users newest first; `query` is the beginning of an e-mail address."""

    query: str = ""
    cursor: str = ""
    limit: Limit = 24


@message("user.grant_roles")
class GrantRoles(Command[User], frozen=True, kw_only=True):
    """Has a user have just these roles, at once. Raises NotFound `user.not_found`, DomainError `user.last_admin`."""

    user_id: str
    roles: Annotated[tuple[Role, ...], msgspec.Meta(min_length=1)]
