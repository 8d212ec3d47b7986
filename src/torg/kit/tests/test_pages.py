"""Pages of long lists: nothing twice, nothing left out, and no cursor of another make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from torg.kit.errors import Invalid
from torg.kit.pages import Page, after_id, after_number, after_time, cut
from torg.kit.portions import portions
from torg.kit.sql.parts import listed, where
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.testing import START, test_ids
from torg.kit.values import stamp


async def test_every_row_is_shown_once_though_many_have_the_same_key(tmp_path: Path):
    database = SqliteDatabase(tmp_path / "shelf.db", sync="OFF")
    new_id = test_ids()
    async with database.begin() as tx:
        await tx.execute("create table thing (id text, at text)")
        await tx.execute_many("insert into thing (id, at) values (:id, :at)", [{"id": new_id(), "at": stamp(START)} for _ in range(5)])

    async def page(cursor: str) -> Page[str]:
        at, id = after_time(cursor)
        rows = await database.all(
            f"select id, at from thing where {where(('(at, id) < (:at, :id)', cursor))} order by at desc, id desc limit :limit", at=at, id=id, limit=3
        )
        return cut(rows, 2, lambda row: str(row["id"])[-1], "at", "id")

    shown, cursor, pages = list[str](), "", 0
    while pages == 0 or cursor:
        some, following = await page(cursor)
        shown, cursor, pages = [*shown, *some], following or "", pages + 1
    await database.close()
    assert (shown, pages) == (["5", "4", "3", "2", "1"], 3)


def test_a_cursor_that_was_handed_out_is_read_back():
    id = test_ids()()
    assert after_time(f"{stamp(START)}/{id}") == (stamp(START), id)
    assert after_number(f"-3/{id}") == (-3, id)
    assert after_number("17") == (17, "")
    assert after_id(id) == id


def test_the_first_page_begins_before_everything():
    assert after_time("") == ("", "")
    assert after_number("")[0] > 10**18
    assert after_id("") > "ffffffff-ffff-7fff-8fff-ffffffffffff"


@pytest.mark.parametrize(
    ("read", "cursor"),
    [
        (after_time, "nonsense"),
        (after_time, "/only-an-id"),
        (after_time, "0001-01-01T00:00:00+23:00/x"),
        (after_number, "nonsense"),
        (after_number, "9" * 30),
        (after_number, "9" * 9000),
        (after_id, "nonsense"),
        (after_id, "g"),
    ],
)
def test_a_cursor_of_another_make_is_refused(read: Callable[[str], object], cursor: str):
    with pytest.raises(Invalid, match="next_cursor"):
        read(cursor)


def test_a_list_of_nothing_finds_nothing():
    assert listed([]) == ("null", {})
    assert listed(["a", "b"]) == (":v0, :v1", {"v0": "a", "v1": "b"})


def test_portions_hold_everything_in_order():
    assert list(portions("abcde", 2)) == [("a", "b"), ("c", "d"), ("e",)]
    assert list(portions([], 2)) == []


def test_only_given_conditions_count():
    assert where(("a = :a", "x"), ("b = :b", ""), ("c = :c", None), ("d = :d", 1)) == "a = :a and d = :d"
    assert where(("a = :a", "")) == "1 = 1"
