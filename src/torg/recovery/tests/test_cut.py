"""A cut fits together while everybody writes; copies made one after the other do not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from torg.recovery.cut import Standing, cut, misfits
from torg.recovery.errors import CannotBackUp
from torg.recovery.tests import stores as stores_
from torg.recovery.tests.stores import FOLLOW, make_store

NAMES = ("order", "payment", "inventory", "shipping")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.db" for name in NAMES}
    for file in found.values():
        make_store(file).close()
    return found


@pytest.fixture
def writing(files: dict[str, Path]) -> Iterator[None]:
    """Another process has the stores follow each other, a thousand commits a second and more."""
    process = subprocess.Popen([sys.executable, stores_.__file__, "0.001", *map(str, files.values())], stdout=subprocess.PIPE, env={"PYTHONPATH": "src"})
    assert process.stdout is not None
    process.stdout.readline()
    yield
    assert process.poll() is None, "the writer has to write all the time"
    process.kill()
    process.communicate()


def copied_one_after_the_other(files: dict[str, Path]) -> dict[str, Standing]:
    """As a script would that backs each file up by itself."""
    found: dict[str, Standing] = {}
    for name, file in files.items():
        with cut({name: file}) as taken:
            found |= taken.standings()
        time.sleep(0.01)
    return found


@pytest.mark.usefixtures("writing")
def test_copies_made_one_after_the_other_do_not_fit_together(files: dict[str, Path]):
    assert any(misfits(copied_one_after_the_other(files)) for _ in range(200))  # the writer has to be given time by the machine


@pytest.mark.usefixtures("writing")
def test_cuts_fit_together_while_everybody_writes(files: dict[str, Path]):
    for _ in range(30):
        with cut(files) as taken:
            standings = taken.standings()
        assert not misfits(standings)
        heads = [standing.head for standing in standings.values()]
        assert max(heads) - min(heads) <= 1, f"one writer logs to all in turn, so at any instant they are a row apart at most, not {heads}"


def test_what_is_written_later_is_not_in_a_cut_that_is_held(files: dict[str, Path]):
    with cut(files) as taken, closing(make_store(files["order"])) as order:
        order.execute("insert into log (position) values (1)")
        assert taken.standings()["order"].head == 0
    with cut(files) as taken:
        assert taken.standings()["order"].head == 1


def test_nobody_waits_for_a_cut_that_is_held(files: dict[str, Path]):
    with cut(files), closing(sqlite3.connect(files["order"], isolation_level=None, timeout=0)) as order:
        order.execute("begin immediate")
        order.execute("insert into log (position) values (1)")
        order.execute("commit")


def test_a_transaction_that_is_open_holds_nothing_up_and_is_not_in_the_cut(files: dict[str, Path]):
    with closing(make_store(files["order"])) as order:
        order.execute("begin immediate")
        order.execute("insert into log (position) values (1)")
        with cut(files) as taken:
            assert (taken.tries, taken.standings()["order"].head) == (1, 0)
        order.execute("rollback")


@pytest.mark.usefixtures("writing")
def test_it_is_given_up_with_a_sentence_when_somebody_always_writes(files: dict[str, Path]):
    many = {f"{name}{number}": file for number in range(1000) for name, file in files.items()}
    with pytest.raises(CannotBackUp, match="try again when less is going on"), cut(many, patience=0.2):
        pass


def test_a_consumer_ahead_of_its_source_is_named(files: dict[str, Path]):
    with closing(make_store(files["payment"])) as payment:
        payment.execute(FOLLOW, {"source": "order", "position": 7})
    with cut(files) as taken:
        assert misfits(taken.standings()) == ["payment: follower has handled order's log up to 7, which goes up to 0"]
