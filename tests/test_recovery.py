"""A shop is backed up while people order. The backup opens as a shop of its own: nothing is missing that was acknowledged before, everything holds, and it
goes on selling."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from tests.shop import Shop, open_shop, until
from tests.shop.cards import page_of, pay
from tests.shop.goods import PASSWORD, goods
from tests.shop.holding import everything_holds
from tests.shop.people import Buyer
from torg.acquirer.cards import Behaviour
from torg.kit.tasks import ended
from torg.kit.testing.postgres import SUITES
from torg.kit.values import moment, utc_now
from torg.recovery.restore import restore

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(os.environ.get(SUITES)), reason="a backup is of embedded engines")]
ROOT = Path(__file__).parents[1]
BUYERS, BEFORE, MEANWHILE = 8, 24, 8
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}


async def torg(*arguments: str, **settings: str) -> tuple[int, str]:
    """What the command line says and how it ends."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "torg", *arguments, env={**ENVIRONMENT, **settings}, stdout=PIPE, stderr=PIPE)
    told, complained = await process.communicate()
    assert process.returncode is not None
    return process.returncode, (told + complained).decode()


class Ordering:
    """Buyers who order one thing after the other; `acknowledged` are their orders, by whom, `asked` and `told` when each was asked for and acknowledged."""

    def __init__(self, people: list[Buyer], cards: bool = True) -> None:
        self._people, self._cards, self._shelf = people, cards, self._products()
        self.acknowledged: list[tuple[Buyer, str]] = []
        self.asked: dict[str, datetime] = {}
        self.told: dict[str, datetime] = {}

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._buy(person, by_card=self._cards and number % 2 == 1)) for number, person in enumerate(self._people)]
        try:
            yield
        finally:
            await ended(tasks)
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
            asked = utc_now()
            order_id = await person.order(next(self._shelf), 2, "card" if by_card else "balance")
            self.acknowledged.append((person, order_id))
            self.asked[order_id], self.told[order_id] = asked, utc_now()
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
        await finds(again, before)
        await everything_holds(again)
        newcomer = await again.buyer()
        await newcomer.bought(goods()[0].id)
        await everything_holds(again)


async def test_a_shop_is_brought_back_to_a_moment_while_people_ordered(tmp_path: Path):
    await torg("backup-key", str(tmp_path / "key"))
    async with open_shop(tmp_path / "old") as shop:
        ordering = Ordering([await shop.buyer() for _ in range(BUYERS)])
        async with ordering.going_on(), following(tmp_path / "old", tmp_path / "chain", "--key-file", str(tmp_path / "key")):
            for number in range(4):
                backups = await _moments(tmp_path / "chain")
                if number == 2:
                    wanted = backups[-1]  # people have ordered before it, and will
                await ordering.more(MEANWHILE)

                async def another(known: int = len(backups)) -> bool:
                    return len(await _moments(tmp_path / "chain")) > known

                await until(another, "another backup is made")
    status, said = await torg("restore", str(tmp_path / "chain"), str(tmp_path / "new"), "--until", wanted, "--key-file", str(tmp_path / "key"))
    assert (status, f"holds the shop of {wanted}" in said) == (0, True), said
    before = [(person, order_id) for person, order_id in ordering.acknowledged if ordering.told[order_id] < moment(wanted)]
    after = [(person, order_id) for person, order_id in ordering.acknowledged if ordering.asked[order_id] > moment(wanted)]
    assert len(before) >= MEANWHILE
    assert len(after) >= MEANWHILE
    async with open_shop(tmp_path / "new", filled=True) as again:
        await finds(again, before)
        for person, order_id in after:
            assert (await (await again.sign_in(person.email)).get(f"/orders/{order_id}")).status == 404
        await everything_holds(again)
        await (await again.buyer()).bought(goods()[0].id)
        await everything_holds(again)


@asynccontextmanager
async def following(data: Path, chain: Path, *more: str) -> AsyncIterator[None]:
    """`torg backup --every`, until it is told to end."""
    arguments = ("-m", "torg", "backup", str(chain), "--every", "1", "--data", str(data), *more)
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=ENVIRONMENT, stdout=PIPE, stderr=PIPE)
    try:
        yield
    finally:
        process.terminate()
        told, complained = await process.communicate()
    assert (process.returncode, complained) == (0, b""), told + complained


async def _moments(chain: Path) -> list[str]:
    """Those that can be gone back to."""
    status, said = await torg("restore", str(chain), "--list")
    return [line.split()[0] for line in said.splitlines()] if status == 0 else []


async def finds(shop: Shop, orders: list[tuple[Buyer, str]]) -> None:
    """Their buyers sign in anew, and see each of them come to what it was going to come to. One whose payment page was being made at that very instant is
    rejected, and paid back: the restored shop has another address, and the acquirer takes the page for another one."""
    buyers = {person.email: await shop.sign_in(person.email) for person, _ in orders}
    await shop.settle()
    for person, order_id in orders:
        seen = (await buyers[person.email].get(f"/orders/{order_id}")).json
        assert seen["status"] in ("placed", "reserved", "paid", "confirmed") or (seen["status"], seen["payment"]["method"]) == ("rejected", "card"), seen


async def test_a_running_shop_is_asked_to_build_anew(tmp_path: Path):
    async with open_shop(tmp_path) as shop:
        as_admin = ("--to", shop.address, "--password", PASSWORD)
        status, said = await torg("rebuild", "ratings", *as_admin)
        assert (status, said.startswith("0 products in ")) == (0, True), said
        status, said = await torg("rebuild", "search", *as_admin)
        assert (status, said.startswith(f"{len(goods())} products in ")) == (0, True), said
        status, said = await torg("rebuild", "reports", *as_admin)
        assert (status, said.startswith("0 sales in "), said.endswith("; 0 figures were wrong\n")) == (0, True, True), said
        status, said = await torg("redrive", "payment", *as_admin)
        assert (status, said) == (0, "nothing is handled anew: there is no dead letter of payment; /admin/dead-letters shows what there is\n")
        status, said = await torg("redrive", *as_admin)
        assert (status, said.startswith("torg: whose dead letters?")) == (1, True)
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
        told = "select count(*) from log where name = 'order.confirmed'"  # of orders, too, whose buyers left before they were answered
        assert sum(row["orders"] for row in report) == await (await shop.store("order")).database.value(told) >= statuses.count("confirmed") >= BEFORE


async def _doubts(shop: Shop, invariant: str) -> list[str]:
    """Until they have lasted: the invariant's violations."""
    admin = await shop.staff("admin")

    async def told() -> list[str]:
        shop.clock.advance(seconds=5)
        reports = (await admin.get("/admin/invariants")).json["items"]
        found: list[str] = next(report["violations"] for report in reports if report["name"] == invariant)
        return found

    return await until(told, f"{invariant} is told of")


async def test_a_shop_of_which_just_some_is_on_servers_is_refused(tmp_path: Path):
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "env").write_text("TORG_FACTS=clickhouse://torg@127.0.0.1/torg\n")
    status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path))
    assert (status, "TORG_FACTS: this shop keeps some of its records on servers and others in files" in said) == (1, True), said


async def test_a_server_that_is_away_is_told(tmp_path: Path):
    (tmp_path / "engines").mkdir()
    (tmp_path / "engines" / "env").write_text("TORG_DB=postgresql://torg@127.0.0.1:1/torg\n")
    status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path))
    assert (status, said.startswith("torg: PostgreSQL: "), "Traceback" in said) == (1, True, False), said
    status, said = await torg("backup", str(tmp_path / "chain"), "--data", str(tmp_path), "--every", "60")
    assert (status, "PostgreSQL goes back to any moment with its own archived log" in said) == (1, True), said


async def test_a_key_is_made_and_a_folder_that_is_no_shop_refused(tmp_path: Path):
    status, said = await torg("backup-key", str(tmp_path / "key"))
    assert (status, said.startswith("public key: age1")) == (0, True)
    status, said = await torg("backup", str(tmp_path / "shop.torg"), "--data", str(tmp_path), "--key-file", str(tmp_path / "key"))
    assert (status, "holds no shop" in said) == (1, True)
    status, said = await torg("restore", str(tmp_path / "key"), str(tmp_path / "new"))
    assert (status, "no backup of Torg" in said, (tmp_path / "new").exists()) == (1, True, False)
    for arguments, complaint in (
        (("restore", str(tmp_path), str(tmp_path / "new"), "--until", "2026-01-01T10:00"), "says no time zone"),
        (("restore", str(tmp_path), str(tmp_path / "new"), "--until", "2199-01-01T10:00Z"), "is still to come"),
        (("restore", str(tmp_path / "key"), str(tmp_path / "new"), "--until", "2026-01-01T10:00Z"), "is of one instant"),
        (("restore", str(tmp_path)), "name the folder to restore to"),
        (("restore", str(tmp_path), "--list"), "holds no chain of backups"),
        (("backup", str(tmp_path / "chain"), "--every", "0.1", "--data", str(tmp_path)), "1 second is the least"),
        (("backup", str(tmp_path / "chain"), "--every", "1", "--data", str(tmp_path)), "holds no shop"),
    ):
        status, said = await torg(*arguments)
        assert (status, complaint in said, "Traceback" in said) == (1, True, False), said
