"""Runs a replay for a person: how it shows its progress (a bar in a terminal, lines in a log) and what came of it."""

from __future__ import annotations

import asyncio
import signal
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from torg.demo.ledger import Ledger
from torg.demo.replay import CannotReplay, Plan, Tally, replay
from torg.demo.shop import Refused, ShopAway

BAR_EVERY, LINE_EVERY = 0.2, 10.0  # seconds


class Telling:
    """On standard error while it goes on."""

    def __init__(self, tally: Tally, total: int) -> None:
        self._tally, self._total = tally, total
        self.console = Console(file=sys.stderr)
        terminal = self.console.is_terminal
        columns = (TextColumn("  baskets"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
        self._bar = Progress(*columns, console=self.console, disable=not terminal)
        self._every = BAR_EVERY if terminal else LINE_EVERY
        self._last: tuple[float, int] = (time.monotonic(), 0)

    def tell(self, sentence: str) -> None:
        self.console.print(f"  {time.strftime('%H:%M:%S')} {sentence}", highlight=False, soft_wrap=True)

    async def keep_telling(self) -> None:
        """Until cancelled."""
        with self._bar:
            task = self._bar.add_task("", total=self._total)
            while True:
                await asyncio.sleep(self._every)
                now = self._now()
                self._bar.update(task, completed=self._tally.baskets, description=now)
                if not self.console.is_terminal:
                    self.tell(f"{self._tally.baskets:,} of {self._total:,} baskets: {now}")

    def _now(self) -> str:
        tally, now = self._tally, time.monotonic()
        (before, ordered), self._last = self._last, (now, tally.acknowledged)
        rate = (tally.acknowledged - ordered) / max(now - before, 1e-9)
        return f"{rate:.0f} orders/s, {tally.delivered:,} delivered, {tally.reviews:,} reviews, {sum(tally.refused.values()):,} rejected"


def summary(tally: Tally) -> Table:
    """What came of it, with the reasons of what did not."""
    table = Table(title=f"{tally.acknowledged:,} orders in {tally.seconds:.1f} s ({tally.acknowledged / max(tally.seconds, 1e-9):.1f} per second)")
    table.add_column("what")
    table.add_column("how many", justify="right")
    rows = {
        "baskets": tally.baskets, "done by an earlier run": tally.done_before, "orders acknowledged": tally.acknowledged,
        "of them known to the shop already": tally.repeated, "orders confirmed": tally.confirmed, "delivered": tally.delivered, "reviews": tally.reviews,
    }  # fmt: skip
    for name, number in rows.items():
        table.add_row(name, f"{number:,}")
    for reason, number in tally.refused.most_common():
        table.add_row(f"rejected: {reason}", f"{number:,}")
    for reason, number in tally.dropped.most_common():
        table.add_row(f"lines left out: {reason}", f"{number:,}")
    return table


def play(plan: Plan, address: str, ledger: Ledger) -> int:
    """Replays until the end or Ctrl-C and prints what came of it; the process's exit status."""
    return asyncio.run(_play(plan, address, ledger))


async def _play(plan: Plan, address: str, ledger: Ledger) -> int:
    tally, status = Tally(), 0
    telling = Telling(tally, len(plan.purchases))
    playing = asyncio.ensure_future(replay(plan, address, ledger, tally, telling.tell))
    shown = asyncio.ensure_future(telling.keep_telling())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, playing.cancel)
    try:
        await playing
    except asyncio.CancelledError:
        telling.tell("stopped; run it again to go on from here")
        status = 130
    except (CannotReplay, ShopAway, Refused) as error:
        telling.tell(str(error))
        status = 1
    shown.cancel()
    await asyncio.gather(shown, return_exceptions=True)
    if tally.baskets:
        Console().print(summary(tally))
    return status
