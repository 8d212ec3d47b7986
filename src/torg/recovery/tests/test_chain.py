"""A chain of backups brings a shop back to any of its moments, and whatever is missing or damaged is said, with the newest moment that is good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from torg.kit.testing import START, TestClock
from torg.kit.values import stamp
from torg.recovery.backup import LETTERS, Backing
from torg.recovery.chain import Following, drop_older, find, read_moment, told
from torg.recovery.errors import CannotBackUp, CannotRestore
from torg.recovery.keys import make_key, recipients
from torg.recovery.restore import restore, restore_moment
from torg.recovery.tests.stores import make_folder, make_store


class House:
    """A data folder that is followed; a minute passes before each backup. What the log of orders had in it by then is remembered."""

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        self.data, self.chains, self.new, self.clock = make_folder(folder / "data"), folder / "chains", folder / "new", TestClock()
        backing = Backing(self.data, recipients(key_file) if key_file else (), self.clock, lambda *_: None)
        self.following = Following(backing, self.chains)
        self.order = make_store(self.data / "order" / "order.db")
        self.order.execute("create table if not exists note (id integer primary key, text text)")
        self.known: dict[datetime, list[tuple[int, str]]] = {}

    def write(self, *notes: str) -> None:
        self.order.executemany("insert into note (text) values (?)", [(note,) for note in notes])

    def notes(self, data: Path) -> list[tuple[int, str]]:
        with closing(sqlite3.connect(data / "order" / "order.db")) as store:
            return store.execute("select id, text from note order by id").fetchall()

    def back_up(self) -> bool:
        self.clock.advance(minutes=1)
        made = self.following.go_on()
        if made:
            self.known[self.clock.now] = self.notes(self.data)
        return made is not None

    def chain(self, *batches: str) -> list[datetime]:
        """Backs up at first, and after each batch."""
        self.back_up()
        for batch in batches:
            self.write(batch)
            self.back_up()
        return list(self.known)

    def files(self) -> list[Path]:
        return sorted(file for file in self.chains.rglob("*.torg"))

    def restored(self, until: datetime | None = None, key_file: Path | None = None) -> list[tuple[int, str]]:
        number = len(list(self.new.parent.glob("new*")))
        to = self.new.with_name(f"new{number}")
        restore_moment(self.chains, to, until, key_file)
        return self.notes(to)

    def close(self) -> None:
        self.following.close()
        self.order.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with closing(House(tmp_path)) as made:
        yield made


# ---------------------------------------------------------------- there and back


def test_any_moment_can_be_gone_back_to(house: House):
    moments = house.chain("one", "two", "three")
    assert len(moments) == 4
    for at in moments:
        assert house.restored(at) == house.known[at]
    assert house.restored(moments[1] + timedelta(seconds=59)) == [(1, "one")]
    assert house.restored() == [(1, "one"), (2, "two"), (3, "three")]


def test_pages_that_come_go_and_change_are_as_they_were(house: House):
    house.back_up()
    for _ in range(3):
        house.write(*("x" * 900 for _ in range(200)))
        house.back_up()
        house.order.execute("update note set text = 'y' where id % 3 = 0")
        house.back_up()
        house.order.execute("delete from note where id % 2 = 0")
        house.order.execute("vacuum")
        house.back_up()
    for at, notes in house.known.items():
        assert house.restored(at) == notes
    with closing(sqlite3.connect(house.new.with_name("new9") / "order" / "order.db")) as store:
        assert store.execute("pragma integrity_check").fetchone()[0] == "ok"


def test_only_what_has_changed_is_written(house: House):
    house.write(*("x" * 900 for _ in range(2000)))
    house.back_up()
    house.write("little")
    house.back_up()
    whole, step = (file.stat().st_size for file in house.files())
    assert step < whole / 3
    assert not house.back_up()
    assert len(house.files()) == 2


def test_small_files_and_the_mailbox_go_along(house: House):
    house.back_up()
    (house.data / "replay.ndjson").write_text("{}\n")
    assert house.back_up()
    letters = make_store(house.data / LETTERS)
    letters.execute("create table letter (text text)")
    letters.execute("insert into letter values ('Dear Anna')")
    letters.close()
    assert house.back_up()
    house.restored()
    new = house.new.with_name("new0")
    assert ((new / "replay.ndjson").read_text(), (new / "secret").read_text()) == ("{}\n", "a secret\n")
    assert (new / "secret").stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(new / LETTERS)) as restored:
        assert restored.execute("select text from letter").fetchone() == ("Dear Anna",)


def test_a_day_is_a_chain_and_old_ones_are_deleted_but_the_newest(house: House):
    for day in range(4):
        house.clock.now = START + timedelta(days=day)
        house.chain(f"day {day}")
    assert [len(chain.links) for chain in find(house.chains)] == [2, 2, 2, 2]
    for at in house.known:
        assert house.restored(at) == house.known[at]
    gone: list[Path] = []
    drop_older(house.chains, START + timedelta(days=2), gone.append)
    assert len(gone) == 2
    assert [chain.links[0].at.day for chain in find(house.chains)] == [3, 4]
    drop_older(house.chains, START + timedelta(days=90), gone.append)
    assert len(find(house.chains)) == 1


def test_another_life_begins_another_chain(house: House):
    house.chain("one")
    house.following.close()
    house.following = Following(Backing(house.data, (), house.clock, lambda *_: None), house.chains)
    house.chain("two")
    assert [len(chain.links) for chain in find(house.chains)] == [2, 2]
    assert house.restored() == [(1, "one"), (2, "two")]


def test_an_encrypted_chain_needs_its_key_to_be_read_and_none_to_be_listed(tmp_path: Path):
    (tmp_path / "public").write_text(make_key(tmp_path / "key", TestClock()) + "\n")
    with closing(House(tmp_path, tmp_path / "public")) as house:
        first, *_ = house.chain("one", "two")
        assert house.restored(key_file=tmp_path / "key") == [(1, "one"), (2, "two")]
        assert house.restored(first, key_file=tmp_path / "key") == []
        assert len(list(told(house.chains))) == 3
        with pytest.raises(CannotRestore, match="is encrypted: name the file of its key"):
            house.restored()


# ---------------------------------------------------------------- what fails


def test_a_backup_that_failed_is_made_up_for_by_the_next(house: House):
    house.chain("one")
    house.write("two")
    hidden = house.data / "cart" / "cart.db"
    hidden.rename(hidden.with_suffix(".away"))
    with pytest.raises(CannotBackUp, match="cart missing"):
        house.back_up()
    hidden.with_suffix(".away").rename(hidden)
    house.write("three")
    assert house.back_up()
    assert house.restored() == [(1, "one"), (2, "two"), (3, "three")]
    assert sorted(entry.name for entry in house.data.joinpath("backing-up").iterdir()) == ["lock"]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


@pytest.mark.parametrize("spoil", [flip, truncate, Path.unlink])
def test_a_step_that_is_damaged_or_missing_is_named_with_the_newest_moment_that_is_good(house: House, spoil: Callable[[Path], None]):
    moments = house.chain("one", "two", "three")
    spoil(house.files()[2])
    assert house.restored(moments[1]) == [(1, "one")]
    for until in (moments[2], moments[3], None):
        if until == moments[2] and spoil is Path.unlink:
            continue  # nobody knows that there was such a moment
        with pytest.raises(
            CannotRestore, match=f"(0002|cut short|damaged).*newest moment before that can be restored is {stamp(moments[1])}: say it with --until"
        ):
            house.restored(until)
    assert not any((house.new.with_name(f"new{number}")).exists() for number in range(1, 4))


def test_a_chain_that_lost_its_beginning_points_to_the_one_before(house: House):
    *_, last = house.chain("one")
    house.clock.advance(days=1)
    house.chain("two")
    house.files()[2].unlink()
    with pytest.raises(CannotRestore, match=rf"0000 of .* is missing.*newest moment before that can be restored is {stamp(last)}"):
        house.restored()
    lines = list(told(house.chains))
    assert ["cannot be restored" in line for line in lines] == [False, False, True]
    for file in house.files()[:2]:
        file.unlink()
    with pytest.raises(CannotRestore, match="no moment before that can be restored"):
        house.restored()


def test_a_step_of_another_chain_is_refused(house: House):
    house.chain("one", "two")
    house.clock.advance(days=1)
    house.chain("three", "four")
    files = house.files()
    files[5].write_bytes(files[2].read_bytes())
    with pytest.raises(CannotRestore, match="does not follow that of"):
        house.restored()


def test_a_step_alone_is_no_backup(house: House):
    house.chain("one")
    with pytest.raises(CannotRestore, match=r"holds only what had changed since .*: name the folder of its chain"):
        restore(house.files()[1], house.new, None)
    assert not house.new.exists()


def test_a_moment_before_the_first_is_refused_with_the_first(house: House):
    first, *_ = house.chain("one")
    with pytest.raises(CannotRestore, match=f"the first moment to go back to is {stamp(first)}"):
        house.restored(first - timedelta(microseconds=1))


def test_a_folder_without_a_chain_is_refused(tmp_path: Path):
    with pytest.raises(CannotRestore, match="holds no chain"):
        list(told(tmp_path))
    with pytest.raises(CannotRestore, match="is no folder"):
        list(told(tmp_path / "none"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yesterday", "is no moment: write it as 2026-03-01T12:00:00Z"),
        ("2026-03-01T11:00:00", "says no time zone: add Z for UTC"),
        ("2026-03-01", "says no time zone"),
        ("2026-03-01T12:00:01Z", "is still to come: it is 2026-03-01T12:00:00Z now"),
        ("2026-02-30T12:00:00Z", "is no moment"),
    ],
)
def test_a_moment_that_is_none_is_refused_with_what_would_be_right(text: str, said: str):
    with pytest.raises(CannotRestore, match=said):
        read_moment(text, START)


def test_a_moment_may_be_said_in_any_zone():
    assert read_moment("2026-03-01T11:30:00+03:00", START) == read_moment("2026-03-01 08:30Z", START) == datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
