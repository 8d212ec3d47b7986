"""What every handler is given; contexts derive their own from it and add their ports."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from torg.kit.calls import Call
from torg.kit.store import Store, Transaction
from torg.kit.values import Clock, NewId


@dataclass(frozen=True)
class Deps:
    """A context's dependencies: other contexts by `call`, time, identifiers, and its own store."""

    call: Call
    clock: Clock
    new_id: NewId
    store: Store
    currency: str

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """The only way to change anything: records and log in one commit."""
        return self.store.transaction()
