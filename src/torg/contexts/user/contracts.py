"""What others may know of users: who signed in, how to reach them, where they live."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Language, Text


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a parcel goes."""

    city: Text
    street: Text
    postcode: Text
    country: Text = "RU"


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
    user_id: str
    email: str
    full_name: str
    city: str
    language: Language
    at: datetime


@message("user.changed")
class UserChanged(Event, frozen=True, kw_only=True):
    """The contact as it is now."""

    user_id: str
    email: str
    full_name: str
    city: str
    language: Language


@message("user.erased")
class UserErased(Event, frozen=True):
    """Forget what is personal about them; bookkeeping stays."""

    user_id: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person as they see themselves."""

    id: str
    email: str
    full_name: str
    city: str
    birth_date: date | None
    roles: tuple[str, ...]
    created_at: datetime


@message("user.register")
class RegisterUser(Command[User], frozen=True, kw_only=True):
    """Raises DomainError `user.email_taken`, Invalid for a weak or breached password."""

    email: str
    password: str
    full_name: str
    city: str = ""
    birth_date: date | None = None
    language: Language = Language.EN
