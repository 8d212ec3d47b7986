"""What must stay true of sales reports: some days are counted anew at each look, the newest among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torg.contexts.analytics.ports import Facts
from torg.contexts.order.contracts import OrderConfirmed
from torg.kit.auditing import Beginning, Fault, Invariant, Place, Rounds, untold

AT_ONCE: Final = 7  # days
TRIES, PAUSE = 3, 0.1  # a day may be sold on between the two readings


class SalesAudit:
    """Compares reports with the sales that stand."""

    def __init__(self, facts: Facts) -> None:
        self._facts, self._rounds = facts, Rounds(facts.days, self._miscounted, AT_ONCE, facts.newest_days, TRIES, PAUSE)

    def invariants(self) -> tuple[Invariant, ...]:
        sentence, rounds = "Sales reports equal a recount of the confirmed orders that were not undone.", self._rounds
        return (Invariant("analytics.sales", sentence, rounds.check, "rebuild_reports", self._first, rounds.come),)

    async def _miscounted(self, days: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        found = await self._facts.miscounted(days)
        return {
            day: [Fault(sentence=f"on {day} the report says {report} orders, the facts {facts}", about="day", id=day)] for day, (facts, report) in found.items()
        }

    async def _first(self, fault: Fault) -> Beginning:
        order_id = await self._facts.first_sale(fault.id)
        if not order_id:
            return untold("a report is a sum, and no sale of that day stands")
        why = "a report is a sum, which can't say what it lacks or has too much: this is the first sale of that day"
        return Beginning(Place("order", order_id, name=OrderConfirmed.NAME), exact=False, note=why)
