"""What must stay true of deliveries: the newest and a slice of the others are compared with the log at each look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torg.contexts.shipping.model import delivery as model
from torg.contexts.shipping.ports import ShippingDeps
from torg.kit.auditing import Beginning, Fault, Invariant, Rounds, not_before, since, untold
from torg.kit.messages import Envelope

AT_ONCE, NEWEST = 100, 100  # deliveries
ON_THE_WAY: Final = ("scheduled", "shipped", "in_transit", "delivered")


class SqlDeliveryAudit:
    """Compares deliveries with what the log says of them."""

    def __init__(self, deps: ShippingDeps) -> None:
        self._deps, self._rounds = deps, Rounds(self._ids, self._misplaced, AT_ONCE, self._newest)

    def invariants(self) -> tuple[Invariant, ...]:
        return (
            Invariant(
                "shipping.deliveries", "Deliveries are where their log says.", self._rounds.check, "rebuild_delivery", self._since_when, self._rounds.come
            ),
        )

    async def _ids(self, after: str, limit: int) -> list[str]:
        rows = await self._deps.store.database.all(
            "select id from delivery where id > :after and status <> 'refused' order by id limit :limit", after=after, limit=limit
        )
        return [row["id"] for row in rows]

    async def _newest(self) -> list[str]:
        newest, _ = await self._deps.deliveries.page("", "", None, "", NEWEST)
        return [seen.id for seen in newest]

    async def _misplaced(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        """Looks again, at one moment, at what may have moved between two readings."""
        faults: dict[str, list[Fault]] = {}
        deliveries = await self._deps.deliveries.find_all(ids)
        logged = await self._deps.store.log.streams(dict.fromkeys(found.order_id for found in deliveries))
        for id in [found.id for found in deliveries if _last(found, logged.get(found.order_id, ())) != found.status]:
            async with self._deps.transaction() as tx:
                found = await self._deps.deliveries.load(tx, id)
                last = _last(found, await tx.stream(found.order_id))
            if last != found.status:
                sentence = f"delivery {id} is {found.status}, but its log ends with {last}"
                behind = last in ON_THE_WAY and found.status in ON_THE_WAY and ON_THE_WAY.index(found.status) < ON_THE_WAY.index(last)
                faults[id] = [Fault(sentence=sentence, about="delivery", id=id, key=found.order_id, remedy="move_delivery" if behind else None)]
        return faults

    async def _since_when(self, fault: Fault) -> Beginning:
        found, rows = await self._deps.deliveries.find(fault.id), await self._deps.store.log.stream(fault.key)
        fitting = [number for number in range(1, len(rows) + 1) if (steps := model.tracking(found, rows[:number])) and steps[-1].status == found.status]
        if fitting and fitting[-1] < len(rows):
            return since(rows[fitting[-1]], "the delivery is as it was before this row")
        return not_before(rows[-1], "no row of the log makes the delivery what it is") if rows else untold("the log has no row of its order")


def _last(delivery: model.Delivery, rows: Sequence[Envelope]) -> str:
    """Where the log says that it is."""
    steps = model.tracking(delivery, rows)
    return steps[-1].status if steps else "nothing"
