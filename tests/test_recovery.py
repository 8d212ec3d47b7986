"""A shop is backed up while people order. The backup opens as a shop of its own: nothing is missing that was acknowledged before, everything holds, and it
goes on selling."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.shop import Shop, open_shop, until
from tests.shop.cards import page_of, pay
from tests.shop.goods import PASSWORD, goods
from tests.shop.holding import everything_holds
from tests.shop.people import Buyer
from torg.acquirer.cards import Behaviour
from torg.kit.testing.postgres import SUITES
from torg.recovery.restore import restore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(os.environ.get(SUITES)), reason="a backup is of embedded engines")]
ROOT = Path(__file__).parents[1]
BUYERS, BEFORE, MEANWHILE = 8, 24, 8


async def torg(*arguments: str) -> tuple[int, str]:
    """What the command line says and how it ends."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "torg", *arguments, env=environment, stdout=PIPE, stderr=PIPE)
    told, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (told + complained).decode()


class Ordering:
    """Buyers who order one thing after the other; `acknowledged` are their orders, by whom."""

    def __init__(self, people: list[Buyer]) -> None:
        self._people, self._shelf = people, self._products()
        self.acknowledged: list[tuple[Buyer, str]] = []

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._buy(person, by_card=number % 2 == 1)) for number, person in enumerate(self._people)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), outcomes

    async def more(self, orders: int) -> None:
        """Until so many more were acknowledged."""
        wanted = len(self.acknowledged) + orders

        async def enough() -> bool:
            return len(self.acknowledged) >= wanted

        await until(enough, f"{wanted} orders are acknowledged")

    async def _buy(self, person: Buyer, by_card: bool) -> None:
        while True:
            order_id = await person.order(next(self._shelf), 2, "card" if by_card else "balance")
            self.acknowledged.append((person, order_id))
            if by_card:
                await pay(await page_of(person, order_id), Behaviour.SUCCESS)

    def _products(self) -> Iterator[str]:
        return (goods()[number % len(goods())].id for number in count())


async def test_a_backup_taken_while_people_order_opens_as_a_shop_that_goes_on(tmp_path: Path):
    async with open_shop(tmp_path / "old") as shop:
        ordering = Ordering([await shop.buyer() for _ in range(BUYERS)])
        async with ordering.going_on():
            await ordering.more(BEFORE)
            before = list(ordering.acknowledged)
            status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path / "old"))
            assert (status, len(ordering.acknowledged) - len(before) >= MEANWHILE) == (0, True), said
            await ordering.more(MEANWHILE)
    restore(tmp_path / "shop.torg", tmp_path / "new", None)
    async with open_shop(tmp_path / "new", filled=True) as again:
        await _finds(again, before)
        await everything_holds(again)
        newcomer = await again.buyer()
        await newcomer.bought(goods()[0].id)
        await everything_holds(again)


async def _finds(shop: Shop, orders: list[tuple[Buyer, str]]) -> None:
    """Their buyers sign in anew, and see each of them come to what it was going to come to."""
    buyers = {person.email: await shop.sign_in(person.email) for person, _ in orders}
    await shop.settle()
    for person, order_id in orders:
        seen = (await buyers[person.email].get(f"/orders/{order_id}")).json
        assert seen["status"] in ("placed", "reserved", "paid", "confirmed"), seen


async def test_a_running_shop_is_asked_to_build_anew(tmp_path: Path):
    async with open_shop(tmp_path) as shop:
        as_admin = ("--to", shop.address, "--password", PASSWORD)
        status, said = await torg("rebuild", "ratings", *as_admin)
        assert (status, said.startswith("0 products in ")) == (0, True), said
        status, said = await torg("rebuild", "search", *as_admin)
        assert (status, said.startswith(f"{len(goods())} products in ")) == (0, True), said
        status, said = await torg("rebuild", "reports", *as_admin)
        assert (status, said.startswith("0 sales in "), said.endswith("; 0 figures were wrong\n")) == (0, True, True), said
        status, said = await torg("rebuild", "search", "--to", shop.address, "--password", "a guess")
        assert (status, said) == (1, "torg: the e-mail address or the password is wrong\n")


async def test_reports_that_were_spoilt_are_right_again_and_count_what_was_ordered_meanwhile_once(tmp_path: Path):
    async with open_shop(tmp_path) as shop:
        ordering = Ordering([await shop.buyer() for _ in range(BUYERS)])
        async with ordering.going_on():
            await ordering.more(BEFORE)
        await shop.settle()
        async with (await shop.store("analytics")).transaction() as tx:
            await tx.execute("update rollup_day set orders = orders + 3, revenue = 7 where dimension = 'day'")
            await tx.execute("delete from rollup_month")
        assert await _doubts(shop, "reports.equal_logs")
        async with ordering.going_on():
            status, said = await torg("rebuild", "reports", "--to", shop.address, "--password", PASSWORD)
            assert (status, said.endswith("; 0 figures were wrong\n")) == (0, False), said
            await ordering.more(MEANWHILE)
        await shop.settle()
        await everything_holds(shop)
        report = (await (await shop.staff("analyst")).get("/analytics/sales?group_by=month")).json["items"]
        statuses = [(await person.get(f"/orders/{order_id}")).json["status"] for person, order_id in ordering.acknowledged]
        assert sum(row["orders"] for row in report) == statuses.count("confirmed") >= BEFORE


async def _doubts(shop: Shop, invariant: str) -> list[str]:
    """Until they have lasted: the invariant's violations."""
    admin = await shop.staff("admin")

    async def told() -> list[str]:
        shop.clock.advance(seconds=5)
        reports = (await admin.get("/admin/invariants")).json["items"]
        found: list[str] = next(report["violations"] for report in reports if report["name"] == invariant)
        return found

    return await until(told, f"{invariant} is told of")


async def test_a_shop_on_servers_is_told_what_to_use_instead(tmp_path: Path):
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "env").write_text("TORG_DB=postgresql://torg@127.0.0.1/torg\n")
    status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path))
    assert status == 1
    assert "TORG_DB: this shop keeps its records on servers" in said
    assert "pg_dump" in said


async def test_a_key_is_made_and_a_folder_that_is_no_shop_refused(tmp_path: Path):
    status, said = await torg("backup-key", str(tmp_path / "key"))
    assert (status, said.startswith("public key: age1")) == (0, True)
    status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path), "--key-file", str(tmp_path / "key"))
    assert (status, "holds no shop" in said) == (1, True)
    status, said = await torg("restore", str(tmp_path / "key"), str(tmp_path / "new"))
    assert (status, "no backup of Torg" in said, (tmp_path / "new").exists()) == (1, True, False)
