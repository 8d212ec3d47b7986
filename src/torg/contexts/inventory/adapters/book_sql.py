"""The log and the read models of stock, read back for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from torg.contexts.inventory.model.ledger import MOVING, Key
from torg.contexts.inventory.ports import Told
from torg.kit.messages import Event
from torg.kit.sql import Database
from torg.kit.sql.parts import listed
from torg.kit.sql.port import Reads
from torg.kit.store import Transaction
from torg.kit.values import stamp

SOME = 20  # faults told at once
_NAMES, _WANTED = listed(kind.NAME for kind in MOVING)


class SqlBook:
    """Implements Book."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._decoders = {kind.NAME: msgspec.json.Decoder(kind) for kind in MOVING}

    async def entries(self, after: int, limit: int) -> Sequence[tuple[int, Event]]:
        return await self._entries(self._database, self._database.dialect.settled, after, limit)

    async def entries_seen(self, tx: Transaction, after: int, limit: int) -> Sequence[tuple[int, Event]]:
        return await self._entries(tx, "1 = 1", after, limit)

    async def _entries(self, reads: Reads | Transaction, condition: str, after: int, limit: int) -> Sequence[tuple[int, Event]]:
        rows = await reads.all(
            f"select position, name, data from log where position > :after and {condition} and name in ({_NAMES}) order by position limit :limit",
            after=after, limit=limit, **_WANTED,
        )  # fmt: skip
        return [(row["position"], self._decoders[row["name"]].decode(row["data"])) for row in rows]

    async def products(self, after: str, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            "select distinct product_id from stock where product_id > :after order by product_id limit :limit", after=after, limit=limit
        )
        return [row["product_id"] for row in rows]

    async def shelves(self, tx: Transaction, products: Sequence[str]) -> dict[Key, tuple[int, int]]:
        names, parameters = listed(products)
        rows = await tx.all(f"select product_id, warehouse_id, on_hand, reserved from stock where product_id in ({names})", **parameters)
        return {(row["product_id"], row["warehouse_id"]): (row["on_hand"], row["reserved"]) for row in rows}

    async def offers(self, tx: Transaction, products: Sequence[str]) -> dict[str, int]:
        names, parameters = listed(products)
        rows = await tx.all(f"select product_id, available from for_sale where product_id in ({names})", **parameters)
        return {row["product_id"]: row["available"] for row in rows}

    async def live(self, after: str, limit: int) -> Sequence[str]:
        rows = await self._database.all(
            "select order_id from reservation where status in ('held', 'secured') and order_id > :after order by order_id limit :limit",
            after=after, limit=limit,
        )  # fmt: skip
        return [row["order_id"] for row in rows]

    async def statuses(self, tx: Transaction, order_ids: Sequence[str]) -> dict[str, str]:
        names, parameters = listed(order_ids)
        rows = await tx.all(f"select order_id, status from reservation where order_id in ({names})", **parameters)
        return {row["order_id"]: row["status"] for row in rows}

    async def broken_shelves(self, products: Sequence[str]) -> tuple[Sequence[Told], Sequence[Told]]:
        names, parameters = listed(products)
        shelves = await self._database.all(
            f"""select product_id, warehouse_id, on_hand, reserved from stock
                where product_id in ({names}) and (reserved < 0 or reserved > on_hand) order by product_id, warehouse_id""",
            **parameters,
        )
        offers = await self._database.all(
            f"""select f.product_id, f.available, coalesce(sum(s.on_hand - s.reserved), 0) as free
                from for_sale f left join stock s on s.product_id = f.product_id where f.product_id in ({names})
                group by f.product_id, f.available having f.available <> coalesce(sum(s.on_hand - s.reserved), 0)""",
            **parameters,
        )
        return (
            [(r["product_id"], f"{r['product_id']} in {r['warehouse_id']}: {r['reserved']} reserved of {r['on_hand']} on hand") for r in shelves],
            [(r["product_id"], f"{r['product_id']}: {r['available']} for sale, but {r['free']} free on the shelves") for r in offers],
        )

    async def overdue(self, before: datetime) -> Sequence[str]:
        rows = await self._database.all("select order_id from reservation where hold_until < :before limit :some", before=stamp(before), some=SOME)
        return [row["order_id"] for row in rows]
