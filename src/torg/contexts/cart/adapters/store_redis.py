"""Carts over Redis: a value for each, replaced only by who has read its latest version, gone when nobody has changed it for long.

Redis may lose carts, and take back changes when another server takes over. So SQL keeps which cart is a member's current one: a lost cart never comes back
under the id of an ordered one, and what was ordered is taken out of a cart whose closing was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from torg.contexts.cart.contracts import OrderedLine
from torg.contexts.cart.model import Cart, Line, closed
from torg.contexts.cart.ports import Owner
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import encode
from torg.kit.redis import Key, Redis, Script, key
from torg.kit.sql import Row
from torg.kit.store import Store, Transaction
from torg.kit.values import NewId

KEPT: Final = {"guest": timedelta(days=30), "user": timedelta(days=180)}  # since the last change
TRIES: Final = 100  # a change that comes between reading and writing costs a try; each round somebody gets through
VERSION: Final = 36  # characters of an id, before the cart itself

CHANGE = Script(f"""
    local held = redis.call('GET', KEYS[1]) or ''
    if string.sub(held, 1, {VERSION}) ~= ARGV[1] then return held end
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return ARGV[2]""")
"""From a version to a value; gives what is there then."""
MOVE = Script(f"""
    local source, target = redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or ''
    if string.sub(source, 1, {VERSION}) ~= ARGV[1] or string.sub(target, 1, {VERSION}) ~= ARGV[2] then return {{source, target}} end
    redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
    redis.call('UNLINK', KEYS[1])
    return {{'', ARGV[3]}}""")

_lines = msgspec.json.Decoder(tuple[Line, ...]).decode
_ordered = msgspec.json.Decoder(tuple[OrderedLine, ...]).decode
_kept = msgspec.json.Decoder(tuple[str, tuple[Line, ...], str]).decode


class RedisCartStore:
    """Implements CartStore. Where Redis does not answer, everything here is Unavailable."""

    def __init__(self, redis: Redis, store: Store, new_id: NewId) -> None:
        self._redis, self._store, self._new_id = redis, store, new_id

    async def find(self, owner: Owner) -> Cart:
        return await self._cart(owner, await self._redis.get(_key(owner)) or b"")

    async def find_to_order(self, owner: Owner) -> Cart:
        cart = await self.find(owner)
        row = await self._known(owner) if cart.lines else None
        if row is None or cart.id >= row["cart_id"]:
            return cart
        return await self.change(owner, lambda old: _caught_up(old, row))

    async def change(self, owner: Owner, decide: Callable[[Cart], Cart]) -> Cart:
        held = await self._redis.get(_key(owner)) or b""
        for _ in range(TRIES):
            before = await self._cart(owner, held)
            after = decide(before)
            if after is before:
                return after
            value = self._value(after)
            held = await self._redis.run(CHANGE, [_key(owner)], held[:VERSION], value, _lifetime(owner))
            if held == value:
                return after
        raise _contended()

    async def move(self, source: Owner, target: Owner, combine: Callable[[Cart, Cart], Cart]) -> None:
        keys = [_key(source), _key(target)]
        leaving, staying = (found or b"" for found in await self._redis.many(*keys))
        for _ in range(TRIES):
            if not leaving:  # it was moved, by this or another one
                return
            value = self._value(combine(await self._cart(target, staying), await self._cart(source, leaving)))
            leaving, staying = await self._redis.run(MOVE, keys, leaving[:VERSION], staying[:VERSION], value, _lifetime(target))
        raise _contended()

    async def forget(self, owner: Owner) -> None:
        await self._redis.drop(_key(owner))
        async with self._store.transaction() as tx:
            await tx.execute("delete from member_cart where user_id = :id", id=owner.id)

    async def purge(self, before: datetime, limit: int) -> int:
        """They go by themselves."""
        return 0

    async def note_ordered(self, tx: Transaction, user_id: str, cart_id: str, next_id: str, ordered: Sequence[OrderedLine]) -> None:
        await tx.execute(
            """insert into member_cart (user_id, cart_id, before, ordered) values (:user_id, :next_id, :cart_id, :ordered)
               on conflict (user_id) do update set cart_id = excluded.cart_id, before = excluded.before, ordered = excluded.ordered
               where member_cart.cart_id < excluded.cart_id""",
            user_id=user_id, cart_id=cart_id, next_id=next_id, ordered=encode(tuple(ordered)).decode(),
        )  # fmt: skip

    async def adopt(self) -> None:
        """Takes over what was kept in SQL before. A cart that Redis has already stays as it is there."""
        while rows := await self._store.database.all("select owner, id, lines, promo_code, version from cart limit 500"):
            for row in rows:
                await self._adopt(_owner(row["owner"]), row)

    async def _adopt(self, owner: Owner, row: Row) -> None:
        value = self._value(Cart(row["id"], _lines(row["lines"]), row["promo_code"]))
        await self._redis.put(_key(owner), value, KEPT[owner.kind].total_seconds(), only_new=True)
        async with self._store.transaction() as tx:
            if owner.kind == "user":
                await self.note_ordered(tx, owner.id, "", row["id"], ())
            await tx.execute("delete from cart where owner = :owner and version = :version", owner=row["owner"], version=row["version"])

    async def _cart(self, owner: Owner, held: bytes) -> Cart:
        if held:
            return Cart(*_kept(held[VERSION:]))
        row = await self._known(owner)
        return Cart(row["cart_id"] if row else owner.id)

    async def _known(self, owner: Owner) -> Row | None:
        if owner.kind == "guest":  # what they order, they order as members
            return None
        async with self._store.transaction() as tx:  # a consumer's, where one closes a cart
            return await tx.one("select cart_id, before, ordered from member_cart where user_id = :id", id=owner.id)

    def _value(self, cart: Cart) -> bytes:
        return self._new_id().encode() + encode((cart.id, cart.lines, cart.promo_code))


def _caught_up(cart: Cart, row: Row) -> Cart:
    """What is left of a cart that was ordered, as SQL knows, while Redis has lost it. Ids are in the order in which they were made."""
    if cart.id >= row["cart_id"]:
        return cart
    return closed(cart, cart.id, _ordered(row["ordered"]) if cart.id == row["before"] else _all(cart), row["cart_id"])


def _all(cart: Cart) -> tuple[OrderedLine, ...]:
    return tuple(OrderedLine(line.product_id, line.quantity) for line in cart.lines)


def _owner(text: str) -> Owner:
    kind, _, id = text.partition("/")
    return Owner("user" if kind == "user" else "guest", id)


def _key(owner: Owner) -> Key:
    return key("cart", owner.kind, owner.id)


def _lifetime(owner: Owner) -> int:
    return int(KEPT[owner.kind].total_seconds() * 1000)


def _contended() -> ConcurrentChange:
    return ConcurrentChange("cart.contended", "this cart is being changed by many at once: try again in a moment")
