"""Orders over several databases: whose a message is, and how several shards' answers become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from torg.contexts.order import contracts as c
from torg.kit.messages import Message
from torg.kit.shards import Everywhere, OfId, OfUser, Sharding, Whose
from torg.kit.values import stamp


def whose(message: Message) -> Whose:
    if isinstance(message, c.PlaceOrder):
        return OfUser(message.buyer.user_id)
    if isinstance(message, c.ListOrders):
        return OfUser(message.buyer.user_id, all=True)
    if isinstance(message, c.ListAllOrders) and message.user_id:
        return OfUser(message.user_id, all=True)
    id = getattr(message, "order_id", "") or getattr(message, "saga_id", "")
    return OfId(id) if id else Everywhere()


def merge(query: Any, answers: Sequence[Any]) -> Any:
    if isinstance(query, c.CountOrders):
        counts = Counter[c.Status]()
        for answer in answers:
            counts.update({count.status: count.count for count in answer.items})
        return c.OrderCounts(tuple(c.OrderCount(status, counts[status]) for status in sorted(counts)))
    if isinstance(query, c.ListSagas):
        sagas = sorted((saga for page in answers for saga in page.items), key=lambda saga: (saga.created_at, saga.saga_id), reverse=True)
        shown = tuple(sagas[: query.limit])
        return c.SagaPage(shown, _cursor(answers, len(sagas), query.limit, shown and f"{stamp(shown[-1].created_at)}/{shown[-1].saga_id}"))
    orders = sorted((order for page in answers for order in page.items), key=lambda order: (order.created_date, order.id), reverse=True)
    listed = tuple(orders[: query.limit])
    return c.OrderPage(listed, _cursor(answers, len(orders), query.limit, listed and f"{stamp(listed[-1].created_date)}/{listed[-1].id}"))


def _cursor(answers: Sequence[Any], found: int, limit: int, last: Any) -> str | None:
    """Where all shards go on, which is behind the last that is shown of all of them."""
    return str(last) if found > limit or any(page.next_cursor for page in answers) else None


ORDERS = Sharding(whose, merge)
