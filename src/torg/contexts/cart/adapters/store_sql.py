"""Carts over SQL: a row for each, replaced only by who has read its latest version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

import msgspec

from torg.contexts.cart.contracts import OrderedLine
from torg.contexts.cart.model import Cart, Line
from torg.contexts.cart.ports import Owner
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import encode
from torg.kit.sql import Row
from torg.kit.store import Store, Transaction
from torg.kit.values import stamp

_READ = "select id, lines, promo_code, version from cart where owner = :owner"
_WRITE = """insert into cart (owner, id, lines, promo_code, version, guest, updated_at)
    values (:owner, :id, :lines, :promo_code, 1, :guest, :at)
    on conflict (owner) do update set id = excluded.id, lines = excluded.lines, promo_code = excluded.promo_code,
        version = cart.version + 1, updated_at = excluded.updated_at where cart.version = :version"""

_lines = msgspec.json.Decoder(tuple[Line, ...]).decode


class SqlCartStore:
    """Implements CartStore."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, owner: Owner) -> Cart:
        return _cart(owner, await self._store.database.one(_READ, owner=owner.key))

    async def find_to_order(self, owner: Owner) -> Cart:
        return await self.find(owner)

    async def change(self, owner: Owner, decide: Callable[[Cart], Cart]) -> Cart:
        return await self._store.undisturbed(partial(self._change, owner, decide), "cart.change")

    async def _change(self, owner: Owner, decide: Callable[[Cart], Cart]) -> Cart:
        async with self._store.transaction() as tx:
            row = await tx.one(_READ, owner=owner.key)
            before = _cart(owner, row)
            after = decide(before)
            if after is before or await self._write(tx, owner, after, row):
                return after
        raise ConcurrentChange("cart.contended", "this cart is being changed by many at once: try again in a moment")

    async def move(self, source: Owner, target: Owner, combine: Callable[[Cart, Cart], Cart]) -> None:
        await self._store.undisturbed(partial(self._move, source, target, combine), "cart.move")

    async def _move(self, source: Owner, target: Owner, combine: Callable[[Cart, Cart], Cart]) -> None:
        async with self._store.transaction() as tx:
            leaving = await tx.one("delete from cart where owner = :owner returning id, lines, promo_code", owner=source.key)
            if leaving is not None:
                await self.change(target, lambda cart: combine(cart, _cart(source, leaving)))

    async def forget(self, owner: Owner) -> None:
        async with self._store.transaction() as tx:
            await tx.execute("delete from cart where owner = :owner", owner=owner.key)

    async def purge(self, before: datetime, limit: int) -> int:
        async with self._store.transaction() as tx:
            return await tx.execute(
                """delete from cart where guest = 1 and updated_at < :before and owner in
                   (select owner from cart where guest = 1 and updated_at < :before order by updated_at limit :limit)""",
                before=stamp(before), limit=limit,
            )  # fmt: skip

    async def note_ordered(self, tx: Transaction, user_id: str, cart_id: str, next_id: str, ordered: Sequence[OrderedLine]) -> None:
        """The cart's own row tells it."""

    async def _write(self, tx: Transaction, owner: Owner, cart: Cart, row: Row | None) -> int:
        return await tx.execute(
            _WRITE, owner=owner.key, id=cart.id, lines=encode(cart.lines).decode(), promo_code=cart.promo_code,
            guest=int(owner.kind == "guest"), at=stamp(self._store.clock()), version=row["version"] if row else 0,
        )  # fmt: skip


def _cart(owner: Owner, row: Row | None) -> Cart:
    return Cart(row["id"], _lines(row["lines"]), row["promo_code"]) if row else Cart(owner.id)
