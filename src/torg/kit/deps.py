"""What every handler is given; contexts derive their own from it and add their ports."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from torg.kit.access import Access
from torg.kit.calls import Call
from torg.kit.store import Store, Transaction
from torg.kit.values import Clock, NewId


@dataclass(frozen=True)
class Deps:
    """A context's dependencies: other contexts by `call`, time, identifiers, its own store, and who may do what."""

    call: Call
    clock: Clock
    new_id: NewId
    store: Store
    currency: str
    access: Access = field(default_factory=Access.of_the_shop, kw_only=True)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """The only way to change anything: records and log in one commit."""
        return self.store.transaction()
