"""Stock and reservations over SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from torg.contexts.inventory.contracts import (
    Allocation,
    ItemsReserved,
    LowStockLine,
    Movement,
    ReservationFailed,
    ShelfView,
    StockView,
    Warehouse,
)
from torg.contexts.inventory.model.allocation import Shelf
from torg.contexts.inventory.model.places import Place
from torg.contexts.inventory.model.reservation import Reservation, ReservationStatus
from torg.contexts.inventory.ports import ForSale
from torg.kit.errors import NotFound
from torg.kit.messages import encode
from torg.kit.pages import Page, after_number, cut
from torg.kit.portions import portions
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import AT_ONCE, listed
from torg.kit.store import Transaction
from torg.kit.values import Clock, moment, stamp

_HOLD = """update stock set reserved = reserved + :quantity
    where product_id = :product_id and warehouse_id = :warehouse_id and on_hand - reserved >= :quantity"""
_LET_GO = "update stock set reserved = reserved - :quantity where product_id = :product_id and warehouse_id = :warehouse_id"
_HAND_OVER = """update stock set reserved = reserved - :quantity, on_hand = on_hand - :quantity
    where product_id = :product_id and warehouse_id = :warehouse_id"""
_PUT = """insert into stock (product_id, warehouse_id, on_hand) values (:product_id, :warehouse_id, :quantity)
    on conflict (product_id, warehouse_id) do update set on_hand = stock.on_hand + excluded.on_hand"""
_CORRECT = """update stock set on_hand = on_hand + :quantity
    where product_id = :product_id and warehouse_id = :warehouse_id and on_hand + :quantity >= reserved"""
_OFFER = """insert into for_sale (product_id, available) values (:product_id, :quantity)
    on conflict (product_id) do update set available = for_sale.available + excluded.available"""
_NOTHING_OFFERED = "insert into for_sale (product_id, available) values (:product_id, 0) on conflict do nothing"
_CHANGE = "update for_sale set available = available + :change where product_id = :product_id returning available, alert_below"
_SET = """insert into stock (product_id, warehouse_id, on_hand, reserved) values (:product_id, :warehouse_id, :on_hand, :reserved)
    on conflict (product_id, warehouse_id) do update set on_hand = excluded.on_hand, reserved = excluded.reserved"""
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
        for some in portions(added, AT_ONCE):
            names, parameters = listed(some)
            rows = await tx.all(f"select product_id, available, alert_below from for_sale where product_id in ({names})", **parameters)
            offers += [ForSale(row["product_id"], row["available"], added[row["product_id"]], row["alert_below"]) for row in rows]
        return offers

    async def correct(self, tx: Transaction, part: Allocation, reason: str) -> ForSale | None:
        if not await tx.execute(_CORRECT, **_named(part)):
            if part.quantity < 0:
                return None
            await tx.execute(_PUT, **_named(part))
        await tx.execute(_NOTHING_OFFERED, product_id=part.product_id)
        await self._note(tx, [part], "corrected", reason)
        (offer,) = await self._change_offer(tx, [part], 1)
        return offer

    async def set(self, tx: Transaction, product_id: str, warehouse_id: str, on_hand: int, reserved: int) -> None:
        await tx.execute(_SET, product_id=product_id, warehouse_id=warehouse_id, on_hand=on_hand, reserved=reserved)

    async def offer(self, tx: Transaction, product_id: str, change: int) -> ForSale:
        await tx.execute(_NOTHING_OFFERED, product_id=product_id)
        row = await tx.one(_CHANGE, product_id=product_id, change=change)
        assert row is not None, "its row was just made sure of"
        return ForSale(product_id, row["available"], change, row["alert_below"])

    async def alert_below(self, tx: Transaction, product_id: str, threshold: int) -> ForSale:
        available = await tx.value(
            """insert into for_sale (product_id, available, alert_below) values (:product_id, 0, :threshold)
               on conflict (product_id) do update set alert_below = excluded.alert_below returning available""",
            product_id=product_id, threshold=threshold,
        )  # fmt: skip
        return ForSale(product_id, available, 0, threshold)

    async def view(self, product_id: str) -> StockView:
        rows = await self._database.all(
            """select w.id, coalesce(s.on_hand, 0) as on_hand, coalesce(s.reserved, 0) as reserved,
                  coalesce((select alert_below from for_sale where product_id = :product_id), 0) as alert_below
               from warehouse w left join stock s on s.warehouse_id = w.id and s.product_id = :product_id order by w.id""",
            product_id=product_id,
        )
        places = tuple(
            ShelfView(warehouse_id=row["id"], on_hand=row["on_hand"], reserved=row["reserved"], available=row["on_hand"] - row["reserved"]) for row in rows
        )
        return StockView(
            product_id=product_id, available=sum(place.available for place in places), on_hand=sum(place.on_hand for place in places),
            reserved=sum(place.reserved for place in places), by_warehouse=places,
            alert_below=rows[0]["alert_below"] if rows else 0,
        )  # fmt: skip

    async def movements(self, product_id: str, cursor: str, limit: int) -> Page[Movement]:
        before, _ = after_number(cursor)
        rows = await self._database.all(
            "select * from movement where product_id = :product_id and id < :before order by id desc limit :limit",
            product_id=product_id, before=before, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _movement, "id")

    async def low(self, cursor: str, limit: int) -> Page[LowStockLine]:
        rows = await self._database.all(
            """select product_id, available, alert_below from for_sale where available < alert_below and product_id > :cursor
               order by product_id limit :limit""",
            cursor=cursor, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: LowStockLine(row["product_id"], row["available"], row["alert_below"]), "product_id")

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

    async def page(self, cursor: str, limit: int) -> Page[Warehouse]:
        rows = await self._database.all(
            "select id, name, city, lat, lon from warehouse where id > :cursor order by id limit :limit", cursor=cursor, limit=limit + 1
        )
        return cut(rows, limit, _warehouse, "id")

    async def first(self, tx: Transaction) -> str:
        found: str | None = await tx.value("select id from warehouse order by id limit 1")
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


def _warehouse(row: Row) -> Warehouse:
    return Warehouse(id=row["id"], name=row["name"], city=row["city"], lat=row["lat"], lon=row["lon"])


def _movement(row: Row) -> Movement:
    return Movement(
        product_id=row["product_id"], warehouse_id=row["warehouse_id"], quantity=row["quantity"], kind=row["kind"], reason=row["reason"],
        at=moment(row["at"]),
    )  # fmt: skip


def _named(part: Allocation) -> dict[str, str | int]:
    return {"product_id": part.product_id, "warehouse_id": part.warehouse_id, "quantity": part.quantity}


def _per_product(parts: Iterable[Allocation]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for part in parts:
        totals[part.product_id] = totals.get(part.product_id, 0) + part.quantity
    return totals
