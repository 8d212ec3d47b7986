"""Saved addresses over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.kit.http import Route, delete, get, post, put


def addresses() -> Sequence[Route]:
    return (
        get("/users/me/addresses", c.ListAddresses, right="account:read", summary="Your saved addresses"),
        post("/users/me/addresses", c.AddAddress, right="account:write", status=201, idempotency="accepted", summary="Save an address"),
        put("/users/me/addresses/{address_id}", c.ChangeAddress, right="account:write", summary="Change an address"),
        delete("/users/me/addresses/{address_id}", c.RemoveAddress, right="account:write", summary="Remove an address"),
    )
