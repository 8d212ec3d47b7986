"""Stock and reservations over SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

import msgspec

from torg.contexts.inventory.contracts import Allocation, ItemsReserved, ReservationFailed, Warehouse
from torg.contexts.inventory.model.allocation import Shelf
from torg.contexts.inventory.model.places import Place
from torg.contexts.inventory.model.reservation import Reservation, ReservationStatus
from torg.contexts.inventory.ports import ForSale
from torg.kit.errors import NotFound
from torg.kit.messages import encode
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import Clock, stamp

AT_ONCE = 500  # parameters of one statement, far below any engine's limit

_HOLD = """update stock set reserved = reserved + :quantity
    where product_id = :product_id and warehouse_id = :warehouse_id and on_hand - reserved >= :quantity"""
_LET_GO = "update stock set reserved = reserved - :quantity where product_id = :product_id and warehouse_id = :warehouse_id"
_HAND_OVER = """update stock set reserved = reserved - :quantity, on_hand = on_hand - :quantity
    where product_id = :product_id and warehouse_id = :warehouse_id"""
_PUT = """insert into stock (product_id, warehouse_id, on_hand) values (:product_id, :warehouse_id, :quantity)
    on conflict (product_id, warehouse_id) do update set on_hand = stock.on_hand + excluded.on_hand"""
_OFFER = """insert into for_sale (product_id, available) values (:product_id, :quantity)
    on conflict (product_id) do update set available = for_sale.available + excluded.available"""
_CHANGE = "update for_sale set available = available + :change where product_id = :product_id returning available, alert_below"
_NOTE = """insert into movement (product_id, warehouse_id, quantity, kind, reason, at)
    values (:product_id, :warehouse_id, :quantity, :kind, :reason, :at)"""

_decode_held = msgspec.json.Decoder(ItemsReserved).decode
_decode_refused = msgspec.json.Decoder(ReservationFailed).decode


class SqlShelves:
    """Implements Shelves."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def free(self, tx: Transaction, product_ids: Sequence[str]) -> Sequence[Shelf]:
        names, parameters = listed(product_ids)
        rows = await tx.all(
            f"""select s.warehouse_id, s.product_id, s.on_hand - s.reserved as free, w.city, w.lat, w.lon
                from stock s join warehouse w on w.id = s.warehouse_id where s.product_id in ({names}) and s.on_hand > s.reserved""",
            **parameters,
        )
        return [Shelf(row["warehouse_id"], row["product_id"], row["free"], row["city"], Place(row["lat"], row["lon"])) for row in rows]

    async def hold(self, tx: Transaction, parts: Sequence[Allocation]) -> Sequence[ForSale] | None:
        for number, part in enumerate(parts):
            if not await tx.execute(_HOLD, **_named(part)):
                for taken in parts[:number]:
                    await tx.execute(_LET_GO, **_named(taken))
                return None
        return await self._change_offer(tx, parts, -1)

    async def let_go(self, tx: Transaction, parts: Sequence[Allocation]) -> Sequence[ForSale]:
        for part in parts:
            await tx.execute(_LET_GO, **_named(part))
        return await self._change_offer(tx, parts, 1)

    async def hand_over(self, tx: Transaction, order_id: str, parts: Sequence[Allocation]) -> None:
        for part in parts:
            await tx.execute(_HAND_OVER, **_named(part))
        await self._note(tx, (Allocation(p.warehouse_id, p.product_id, -p.quantity) for p in parts), "shipped", order_id)

    async def put(self, tx: Transaction, parts: Sequence[Allocation], kind: str, reason: str) -> Sequence[ForSale]:
        await tx.execute_many(_PUT, map(_named, parts))
        await tx.execute_many(_OFFER, ({"product_id": part.product_id, "quantity": part.quantity} for part in parts))
        await self._note(tx, parts, kind, reason)
        added = _per_product(parts)
        offers: list[ForSale] = []
        for some in in_portions(added):
            names, parameters = listed(some)
            rows = await tx.all(f"select product_id, available, alert_below from for_sale where product_id in ({names})", **parameters)
            offers += [ForSale(row["product_id"], row["available"], added[row["product_id"]], row["alert_below"]) for row in rows]
        return offers

    async def first_time(self, tx: Transaction, id: str) -> bool:
        filed = await tx.execute("insert into counted (id, at) values (:id, :at) on conflict do nothing", id=id, at=stamp(self._clock()))
        return filed > 0

    async def available(self, product_ids: Sequence[str]) -> dict[str, int]:
        names, parameters = listed(product_ids)
        rows = await self._database.all(f"select product_id, available from for_sale where product_id in ({names})", **parameters)
        return {row["product_id"]: row["available"] for row in rows}

    async def _change_offer(self, tx: Transaction, parts: Sequence[Allocation], sign: int) -> Sequence[ForSale]:
        offers = []
        for product, quantity in _per_product(parts).items():
            row = await tx.one(_CHANGE, product_id=product, change=sign * quantity)
            assert row is not None, "what lies on a shelf is known as for sale"
            offers.append(ForSale(product, row["available"], sign * quantity, row["alert_below"]))
        return offers

    async def _note(self, tx: Transaction, parts: Iterable[Allocation], kind: str, reason: str) -> None:
        at = stamp(self._clock())
        await tx.execute_many(_NOTE, ({**_named(part), "kind": kind, "reason": reason, "at": at} for part in parts))


class SqlWarehouses:
    """Implements Warehouses."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def add(self, tx: Transaction, warehouse: Warehouse) -> None:
        await tx.execute(
            "insert into warehouse (id, name, city, lat, lon, created_at) values (:id, :name, :city, :lat, :lon, :at)",
            id=warehouse.id, name=warehouse.name, city=warehouse.city, lat=warehouse.lat, lon=warehouse.lon, at=stamp(self._clock()),
        )  # fmt: skip

    async def find(self, tx: Transaction, warehouse_id: str) -> Warehouse | None:
        row = await tx.one("select id, name, city, lat, lon from warehouse where id = :id", id=warehouse_id)
        return _warehouse(row) if row else None

    async def all(self) -> Sequence[Warehouse]:
        return [_warehouse(row) for row in await self._database.all("select id, name, city, lat, lon from warehouse order by created_at, id")]

    async def first(self, tx: Transaction) -> str:
        found: str | None = await tx.value("select id from warehouse order by created_at, id limit 1")
        if found is None:
            raise NotFound("warehouse.none", "there is no warehouse yet: open one first (POST /warehouses)")
        return found


class SqlReservations:
    """Implements Reservations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def find(self, tx: Transaction, order_id: str) -> Reservation | None:
        row = await tx.one("select status, answer from reservation where order_id = :order_id", order_id=order_id)
        if row is None:
            return None
        status, answer = row["status"], row["answer"]
        if not answer:
            return Reservation(order_id, status, None)
        return Reservation(order_id, status, _decode_refused(answer) if status == "refused" else _decode_held(answer))

    async def file(
        self, tx: Transaction, order_id: str, status: ReservationStatus, answer: ItemsReserved | ReservationFailed | None, hold_until: datetime | None
    ) -> None:
        await tx.execute(
            """insert into reservation (order_id, status, hold_until, answer, updated_at) values (:order_id, :status, :hold_until, :answer, :at)
               on conflict (order_id) do update set status = excluded.status, hold_until = excluded.hold_until,
                   answer = excluded.answer, updated_at = excluded.updated_at""",
            order_id=order_id, status=status, hold_until=hold_until and stamp(hold_until), answer=encode(answer).decode() if answer else "",
            at=stamp(self._clock()),
        )  # fmt: skip

    async def move(self, tx: Transaction, found: Reservation, status: ReservationStatus) -> bool:
        moved = await tx.execute(
            """update reservation set status = :status, hold_until = null, updated_at = :at
               where order_id = :order_id and status = :before""",
            order_id=found.order_id, status=status, before=found.status, at=stamp(self._clock()),
        )  # fmt: skip
        return moved > 0

    async def run_out(self, now: datetime, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            "select order_id from reservation where hold_until <= :now order by hold_until limit :limit", now=stamp(now), limit=limit
        )
        return [row["order_id"] for row in rows]


def listed(values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """`:v0, :v1` and the values by these names; of no values, a list that nothing is in."""
    parameters = {f"v{number}": value for number, value in enumerate(values)}
    return ", ".join(f":{name}" for name in parameters) or "null", parameters


def in_portions(values: Iterable[str], size: int = AT_ONCE) -> Iterator[tuple[str, ...]]:
    rest = iter(values)
    while portion := tuple(islice(rest, size)):
        yield portion


def _warehouse(row: Row) -> Warehouse:
    return Warehouse(id=row["id"], name=row["name"], city=row["city"], lat=row["lat"], lon=row["lon"])


def _named(part: Allocation) -> dict[str, str | int]:
    return {"product_id": part.product_id, "warehouse_id": part.warehouse_id, "quantity": part.quantity}


def _per_product(parts: Iterable[Allocation]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in parts:
        totals[part.product_id] = totals.get(part.product_id, 0) + part.quantity
    return totals
