"""Where users live."""

from __future__ import annotations

from typing import Annotated

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Query, message
from torg.kit.values import Text

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


Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
"""Two letters, as in ISO 3166-1."""


class AddressView(Address, frozen=True, kw_only=True):
    """A saved address; one of a user's is the default."""

    id: str
    is_default: bool


class Addresses(msgspec.Struct, frozen=True):
    items: tuple[AddressView, ...]
    next_cursor: str | None = None


@message("user.get_address")
class GetAddress(Query[Address], frozen=True):
    """One of a user's saved addresses. Raises NotFound `address.not_found`."""

    user_id: str
    address_id: str


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
