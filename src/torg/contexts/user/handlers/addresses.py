"""Saved addresses."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from torg.contexts.user import contracts as c
from torg.contexts.user.model import accounts
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import DomainError, NotFound
from torg.kit.store import Transaction


async def list_addresses(query: c.ListAddresses, deps: UserDeps) -> c.Addresses:
    return c.Addresses(tuple(await deps.addresses.of(query.holder.user_id)))


async def get_address(query: c.GetAddress, deps: UserDeps) -> c.Address:
    found = _one(await deps.addresses.of(query.user_id), query.address_id)
    return c.Address(city=found.city, street=found.street, postcode=found.postcode, country=found.country)


async def add_address(cmd: c.AddAddress, deps: UserDeps) -> c.AddressView:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await claim_addresses(tx, user_id)
        others = await deps.addresses.of(user_id, tx)
        if len(others) >= accounts.ADDRESSES:
            raise DomainError("address.too_many", f"you have {accounts.ADDRESSES} addresses: remove one first")
        address = _address(deps.new_id(), cmd, is_default=cmd.is_default or not others)
        await deps.addresses.put(tx, user_id, address)
        return await tx.answer(address)


async def change_address(cmd: c.ChangeAddress, deps: UserDeps) -> c.AddressView:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await claim_addresses(tx, user_id)
        before = _one(await deps.addresses.of(user_id, tx), cmd.address_id)
        address = _address(before.id, cmd, is_default=cmd.is_default or before.is_default)
        await deps.addresses.put(tx, user_id, address)
    return address


async def remove_address(cmd: c.RemoveAddress, deps: UserDeps) -> None:
    user_id = cmd.holder.user_id
    async with deps.transaction() as tx:
        await claim_addresses(tx, user_id)
        addresses = await deps.addresses.of(user_id, tx)
        removed = _one(addresses, cmd.address_id)
        await deps.addresses.remove(tx, user_id, removed.id)
        others = [address for address in addresses if address is not removed]
        if removed.is_default and others:
            await deps.addresses.put(tx, user_id, msgspec.structs.replace(others[0], is_default=True))


async def claim_addresses(tx: Transaction, user_id: str) -> None:
    """How many there are, and which is the one to begin with, is a rule about all of them."""
    await tx.claim(f"addresses of {user_id}")


def _address(id: str, cmd: c.AddAddress | c.ChangeAddress, is_default: bool) -> c.AddressView:
    return c.AddressView(id=id, city=cmd.city, street=cmd.street, postcode=cmd.postcode, country=cmd.country, is_default=is_default)


def _one(addresses: Sequence[c.AddressView], address_id: str) -> c.AddressView:
    for address in addresses:
        if address.id == address_id:
            return address
    raise NotFound("address.not_found", f"you have no address {address_id}")
