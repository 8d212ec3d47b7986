"""Suppliers and purchase orders over SQL, as documents."""

from __future__ import annotations

import msgspec

from torg.contexts.inventory.contracts import PurchaseOrder, PurchaseStatus, Supplier
from torg.kit.errors import ConcurrentChange, NotFound
from torg.kit.messages import encode
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import where
from torg.kit.store import Transaction
from torg.kit.values import stamp

_supplier = msgspec.json.Decoder(Supplier).decode
_order = msgspec.json.Decoder(PurchaseOrder).decode
_READ = "select document, version from purchase_order where id = :id"


class SqlPurchasing:
    """Implements Purchasing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add_supplier(self, tx: Transaction, supplier: Supplier) -> None:
        await tx.execute(
            "insert into supplier (id, created_at, document) values (:id, :at, :document)",
            id=supplier.id, at=stamp(supplier.created_at), document=encode(supplier).decode(),
        )  # fmt: skip

    async def supplier(self, tx: Transaction, supplier_id: str) -> Supplier:
        document = await tx.value("select document from supplier where id = :id", id=supplier_id)
        if document is None:
            raise NotFound("supplier.not_found", f"there is no supplier {supplier_id}: GET /suppliers lists them")
        return _supplier(document)

    async def suppliers(self, cursor: str, limit: int) -> Page[Supplier]:
        at, id = after_time(cursor)
        rows = await self._database.all(
            """select id, created_at, document from supplier where :at = '' or (created_at, id) < (:at, :id)
               order by created_at desc, id desc limit :limit""",
            at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: _supplier(row["document"]), "created_at", "id")

    async def file(self, tx: Transaction, order: PurchaseOrder) -> None:
        await tx.execute(
            """insert into purchase_order (id, supplier_id, status, version, created_at, document)
               values (:id, :supplier_id, :status, 1, :at, :document)""",
            id=order.id, supplier_id=order.supplier_id, status=order.status, at=stamp(order.created_at), document=encode(order).decode(),
        )  # fmt: skip

    async def load(self, tx: Transaction, purchase_order_id: str) -> tuple[PurchaseOrder, int]:
        row = _found(await tx.one(_READ, id=purchase_order_id), purchase_order_id)
        return _order(row["document"]), row["version"]

    async def change(self, tx: Transaction, order: PurchaseOrder, version: int) -> None:
        changed = await tx.execute(
            "update purchase_order set status = :status, version = version + 1, document = :document where id = :id and version = :version",
            id=order.id, status=order.status, document=encode(order).decode(), version=version,
        )  # fmt: skip
        if not changed:
            raise ConcurrentChange("purchase_order.changed", f"somebody else has changed purchase order {order.id} just now: look at it again")

    async def find(self, purchase_order_id: str) -> PurchaseOrder:
        return _order(_found(await self._database.one(_READ, id=purchase_order_id), purchase_order_id)["document"])

    async def page(self, status: PurchaseStatus | None, supplier_id: str, cursor: str, limit: int) -> Page[PurchaseOrder]:
        at, id = after_time(cursor)
        wanted = where(("status = :status", status), ("supplier_id = :supplier_id", supplier_id), ("(created_at, id) < (:at, :id)", cursor))
        rows = await self._database.all(
            f"select id, created_at, document from purchase_order where {wanted} order by created_at desc, id desc limit :limit",
            status=status, supplier_id=supplier_id, at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, lambda row: _order(row["document"]), "created_at", "id")


def _found(row: Row | None, purchase_order_id: str) -> Row:
    if row is None:
        raise NotFound("purchase_order.not_found", f"there is no purchase order {purchase_order_id}")
    return row
