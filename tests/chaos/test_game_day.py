"""A very short game day of one process, and that what is judged by can fail."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from tests.chaos.backups import _lost
from tests.chaos.game_day import Calm, Wanted, _leaks, game_day
from tests.chaos.nemesis import MISBEHAVES, ROUND, SORTS, Nemesis
from tests.chaos.oracle import Oracle
from tests.chaos.play import refusal
from tests.chaos.record import Promise, Record
from tests.chaos.releases import ADDED, Releases
from tests.chaos.shop import Held
from torg.acquirer.faults import Faults
from torg.kit.sql.compatibility import breaking

PROMISE = Promise("key", "order-1", "anna", "milk", 2, 500, "cash", 1.0, 1.1)
ORDER: dict[str, Any] = {
    "id": "order-1", "user_id": "anna", "total": {"amount": 500}, "lines": [{"product_id": "milk", "quantity": 2}], "payment": {"method": "cash"},
    "status": "confirmed", "bucket_id": "cart-1",
}  # fmt: skip


@pytest.mark.slow
async def test_a_day_with_a_broken_disk_and_deaths_at_failpoints(tmp_path: Path):
    told: list[str] = []
    wanted = Wanted(0.4, "all", servers=False, seed=1, buyers=6, only=("disk", "failpoint"), folder=tmp_path, calm=Calm(2, 3, 3, 0))
    day = await game_day(wanted, told.append)
    assert not day.wrong, "\n".join((*told, *day.lines()))
    assert day.acknowledged > 10
    assert any(" dies '" in fault.what for fault in day.of("failpoint"))
    assert all(" writes met it)" in fault.what for fault in day.of("disk"))
    assert list((tmp_path / "failpoints").glob("*.main.died"))


def test_every_sort_of_fault_comes_in_a_round():
    assert set(ROUND) == set(SORTS)
    assert refusal(Wanted(1, only=("kill", "earthquake"))).startswith("there is no sort of fault earthquake; these are: kill, failpoint")
    assert refusal(Wanted(1, only=("kill",))) == ""


def test_what_cannot_be_played_is_refused_before_anything_is_started(tmp_path: Path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "record").touch()
    assert refusal(Wanted(1, "servicse")).startswith("there is no context 'servicse'")
    assert refusal(Wanted(-1)).startswith("--minutes -1")
    assert refusal(Wanted(float("nan"))).startswith("--minutes nan")
    assert refusal(Wanted(1, buyers=0)).startswith("--minutes 1 --buyers 0")
    assert refusal(Wanted(1, folder=tmp_path / "full")).endswith("it is no empty folder")
    assert refusal(Wanted(1, folder=tmp_path / "new")) == ""


def test_what_cannot_be_done_here_is_left_out(tmp_path: Path):
    nemesis = Nemesis(shop=None, random=Random(1), failpoints=tmp_path, releases=None)  # type: ignore[arg-type]
    rounds = nemesis.rounds()
    drawn = {next(rounds) for _ in range(40)}
    assert drawn == set(SORTS) - {"engine", "network", "wire", "disk", "clock"}
    with pytest.raises(ValueError, match="none of engine can be done here; these can: acquirer, backup"):
        next(nemesis.rounds(["engine"]))


def test_the_acquirer_knows_how_to_misbehave():
    for faults in MISBEHAVES.values():
        assert msgspec.convert(faults, Faults) != Faults()


def test_a_release_adds_what_the_one_before_it_can_do_without(tmp_path: Path):
    releases = Releases(tmp_path / "releases")
    before = releases.source.resolve()
    assert releases.next() == 1
    assert releases.source.resolve() != before
    for context in ADDED:
        folder = releases.source / "torg" / "contexts" / context / "migrations"
        assert "rehearsal_of_1" in (folder / "9001_rehearsal.sql").read_text()
        assert breaking(folder) == []


# ---------------------------------------------------------------- what is judged by


@pytest.fixture
def oracle(tmp_path: Path) -> Oracle:
    record = Record(tmp_path / "promises.ndjson")
    record.write(PROMISE)
    record.close()
    return Oracle([], None, record, {}, tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("orders", "told"),
    [
        ([], "LOST: order order-1 was acknowledged to anna, and is not there"),
        ([{**ORDER, "total": {"amount": 501}}], "order order-1 is not what was promised"),
        ([{**ORDER, "status": "pending"}], "order order-1 hangs at pending"),
        ([ORDER, {**ORDER, "id": "order-2"}], "DOUBLED: cart cart-1 became 2 orders"),
    ],
)
def test_promises_that_are_not_kept_are_told_of(oracle: Oracle, orders: list[dict[str, Any]], told: str):
    assert oracle._promises_kept({ORDER["id"]: ORDER}) == []
    [found] = oracle._promises_kept({order["id"]: order for order in orders})
    assert found.startswith(told)


def test_a_key_that_got_two_orders_is_told_of(oracle: Oracle):
    oracle._record.promises.append(msgspec.structs.replace(PROMISE, order_id="order-2"))
    other = {**ORDER, "id": "order-2", "bucket_id": "cart-2"}
    assert oracle._promises_kept({"order-1": ORDER, "order-2": other}) == ["DOUBLED: one key got 2 orders"]


def test_a_backup_without_an_order_is_told_of():
    assert _lost([PROMISE], {"order-1": ORDER}) == []
    assert _lost([PROMISE], {}) == ["LOST: the backup does not have order order-1, which was acknowledged before it began"]
    assert _lost([PROMISE], {"order-1": {**ORDER, "total": {"amount": 1}}}) == ["the backup has order order-1, but not as it was promised"]


def test_leaks_are_told_of():
    before = Held(100, 100, 20)
    assert _leaks("order", before, Held(180, 140, 22)) == []
    assert len(_leaks("order", before, Held(400, 400, 60))) == 3
