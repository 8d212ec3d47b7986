"""Reading the contexts' logs into the books, from where the last look ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from torg.contexts.admin import model
from torg.contexts.admin.model import FOLLOWED, Account
from torg.contexts.admin.ports import AdminDeps
from torg.kit.messages import Envelope
from torg.kit.operations import DeskView
from torg.kit.shards import context_of_part

SLICE = 300  # rows of a log between two breaths of the event loop
SLICES = 60  # of each log at one look
ACCOUNTS = "accounts"


async def follow(deps: AdminDeps) -> bool:
    """Brings the accounts up to the end of all logs, effects before causes: where each log ends is asked when its turn comes. Whether it has come to all
    ends: of a long log one look reads a part, and what was written behind an effect that was not read must not be judged."""
    arrived = True
    for source, kinds in FOLLOWED.items():
        for part in sorted(name for name in deps.desks if context_of_part(name) == source):
            arrived &= await _follow(deps.desks[part], await deps.books.read_until(ACCOUNTS, part), kinds, deps)
    return arrived


async def _follow(desk: DeskView, position: int, kinds: Sequence[type], deps: AdminDeps) -> bool:
    log = desk.log
    end = await log.head()
    for _ in range(SLICES):
        if position >= end:
            return True
        until = await log.step(position, SLICE, end)
        rows = await log.named(kinds, position, until)
        async with deps.transaction() as tx:
            if events := [row for row in rows if getattr(row.message, "order_id", "")]:
                known = await deps.books.accounts(tx, {_order_id(row) for row in events})
                noted, sales = _noted(known, events)
                await deps.books.keep(tx, noted.values())
                await deps.books.add_sales(tx, sales)
            await deps.books.set_read_until(tx, ACCOUNTS, desk.context, until)
        position = until
        await asyncio.sleep(0)
    return position >= end


def _order_id(row: Envelope) -> str:
    order_id: str = getattr(row.message, "order_id", "")
    return order_id


def _noted(known: Mapping[str, Account], events: Sequence[Envelope]) -> tuple[dict[str, Account], dict[str, tuple[int, int]]]:
    """The accounts after these events, and by how much orders and revenue of the days that they touched have changed."""
    noted: dict[str, Account] = {}
    sales: dict[str, tuple[int, int]] = {}
    for row in events:
        order_id = _order_id(row)
        account = noted.get(order_id) or known.get(order_id) or Account(order_id=order_id)
        noted[order_id] = changed = model.note(account, row.message)
        if (before := model.sale(account)) != (after := model.sale(changed)):
            _count(sales, before, -1)
            _count(sales, after, 1)
    return noted, sales


def _count(sales: dict[str, tuple[int, int]], sale: tuple[str, int], sign: int) -> None:
    day, revenue = sale
    if day:
        orders, so_far = sales.get(day, (0, 0))
        sales[day] = orders + sign, so_far + sign * revenue
