#!/usr/bin/env python3
"""Kills the shop again and again while people buy, and then counts: python tests/chaos/kill.py --rounds 10

Starts a real process, has buyers order from outside it (who write each acknowledged order to the disk before they go on), kills it with SIGKILL at
random moments, starts it again, goes on; in the end everything that was promised must be there, once, and the books must balance."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "src")]

import aiohttp

from tests.chaos.buyers import PASSWORD, Buyer, Person, administrator, go_home
from tests.chaos.oracle import Oracle
from tests.chaos.process import Process
from tests.chaos.record import Record

BUYERS, PRODUCTS, PLENTY = 12, 40, 100_000
DOUBTS_LAST = 16.0  # seconds: what only time can tell counts as violated after fifteen
SHOP = {"TORG_DEMO_PRODUCTS": "60", "TORG_DEMO_PASSWORD": PASSWORD, "TORG_PASSWORD_MEMORY_KIB": "64", "TORG_CARD_PAYMENT_MINUTES": "0.1"}


@dataclass
class Figures:
    """What came of it."""

    kills: int = 0
    acknowledged: int = 0
    seconds: float = 0
    starts: list[float] = field(default_factory=list)
    settled_after: float = 0
    counts: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        again = sorted(self.starts[1:]) or [0.0]
        answered = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        ended = ", ".join(f"{count} {name}" for name, count in sorted(self.orders.items()) if name not in ("lost", "invariants"))
        return [
            f"kills                  {self.kills} in {self.seconds:.0f} s of buying",
            f"orders acknowledged    {self.acknowledged} ({self.acknowledged / max(self.seconds, 1):.0f} per second, times of absence included)",
            f"lost                   {self.orders['lost']}",
            f"orders at the end      {ended}",
            f"started again in       {median(again):.2f} s (half of the times), {again[-1]:.2f} s at most",
            f"all sagas had ended    {self.settled_after:.1f} s after the last start",
            f"requests               {answered}",
            f"invariants             {self.orders['invariants']} looked at",
            *(f"WRONG: {fault}" for fault in self.faults[:50]),
            f"{len(self.faults)} things are wrong" if self.faults else "nothing is wrong",
        ]


async def rounds(data: Path, kills: int, seed: int, life: tuple[float, float] = (0.5, 3.0), doubts_last: float = DOUBTS_LAST, buyers: int = BUYERS) -> Figures:
    """The whole test on an empty folder; `life` is between how many seconds each process lives."""
    figures, random, process = Figures(), Random(seed), Process(data, SHOP)
    record = Record(data / "promises.ndjson")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as browser:
        await process.start()
        try:
            admin = await administrator(process.address, browser, record, random)
            opening = await opening_stock(admin)
            people = [Buyer(process.address, browser, record, list(opening), Random(f"{seed}/{number}"), figures.counts) for number in range(buyers)]
            began = time.monotonic()
            tasks = [asyncio.create_task(person.live()) for person in people]
            for _ in range(kills):
                await asyncio.sleep(random.uniform(*life))
                await process.kill()
                figures.kills += 1
                await process.start()
            await asyncio.sleep(life[1])
            await go_home(people, tasks)
            figures.acknowledged, figures.seconds, figures.starts = len(record.promises), time.monotonic() - began, process.starts
            await admin.sign_in()
            oracle = Oracle([person for person in people if person.user_id], admin, record, opening, data)
            figures.faults = await oracle.faults(doubts_last)
            figures.settled_after, figures.orders = oracle.settled_after, oracle.counts
        finally:
            await process.stop()
            record.close()
    return figures


async def opening_stock(admin: Person) -> dict[str, int]:
    """The products that are bought, and how many of each there are before anybody comes: more than they will buy."""
    _, page = await admin.insist("GET", f"/products?limit={PRODUCTS}&in_stock=true")
    found = {}
    for item in page["items"]:
        _, before = await admin.insist("GET", f"/inventory/{item['id']}")
        more = {"warehouse_id": before["by_warehouse"][0]["warehouse_id"], "quantity": PLENTY, "reason": "many buyers are coming"}
        status, _ = await admin.insist("POST", f"/inventory/{item['id']}/movements", more, key=uuid.uuid4().hex)
        assert status == 201, status
        found[item["id"]] = before["available"] + PLENTY
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=10, help="how often the shop is killed")
    arguments.add_argument("--seed", type=int, default=1, help="the same seed kills at the same moments")
    arguments.add_argument("--buyers", type=int, default=BUYERS)
    arguments.add_argument("--data", type=Path, help="an empty folder to keep afterwards; without it, one that is thrown away")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as thrown_away:
        figures = asyncio.run(rounds(given.data or Path(thrown_away), given.rounds, given.seed, buyers=given.buyers))
    print("\n".join(figures.lines()), flush=True)
    return 1 if figures.faults or not figures.acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
