"""What is backed up is restored, and whatever is wrong with a backup, a key or a folder is said."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from torg.kit.testing import TestClock
from torg.recovery import archive
from torg.recovery.archive import is_sealed
from torg.recovery.backup import Made, back_up, refuse_full, stores_of
from torg.recovery.errors import CannotBackUp, CannotRestore
from torg.recovery.keys import make_key, recipients
from torg.recovery.restore import restore
from torg.recovery.tests.stores import FOLLOW, log_head, make_folder, make_store


def quietly(_: str, __: int, ___: int) -> None: ...


def made(data: Path, to: Path, key_file: Path | None = None) -> Made:
    return back_up(data, to, recipients(key_file) if key_file else (), TestClock(), quietly)


def listed(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = make_folder(tmp_path / "data")
    with closing(make_store(data / "order" / "order.db")) as order:
        order.executemany("insert into log (position) values (?)", [(1,), (2,)])
    return data


@pytest.fixture
def backup(data: Path, tmp_path: Path) -> Path:
    made(data, tmp_path / "shop.torg")
    return tmp_path / "shop.torg"


def rewritten(backup: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """The same backup with other parts."""
    with tarfile.open(backup) as tar:
        parts = {member.name: read.read() for member in tar if (read := tar.extractfile(member))}
    change(parts)
    with tarfile.open(backup, "w:gz") as tar:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return backup


# ---------------------------------------------------------------- there and back


def test_what_was_backed_up_is_restored_for_its_owner_alone(backup: Path, tmp_path: Path):
    manifest = restore(backup, tmp_path / "new", None)
    assert log_head(tmp_path / "new" / "order" / "order.db") == manifest.stores["order"].head == 2
    assert (tmp_path / "new" / "secret").read_text() == "a secret\n"
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o777 == 0o600
    assert backup.stat().st_mode & 0o777 == 0o600


def test_an_empty_folder_that_is_there_may_be_filled(backup: Path, tmp_path: Path):
    (tmp_path / "volume").mkdir()
    restore(backup, tmp_path / "volume", None)
    assert log_head(tmp_path / "volume" / "order" / "order.db") == 2


def test_nothing_is_left_of_the_work(data: Path, tmp_path: Path):
    made(data, tmp_path / "to" / "shop.torg")
    restore(tmp_path / "to" / "shop.torg", tmp_path / "new", None)
    assert listed(tmp_path / "to") == ["shop.torg"]
    assert listed(data / "backing-up") == ["lock"]
    assert listed(tmp_path / "new") == sorted(set(listed(data)) - {"backing-up"})


def test_what_a_killed_backup_left_is_cleared_away_and_nothing_else(data: Path, tmp_path: Path):
    (data / "backing-up").mkdir()
    for name in ("copy.db", "packed", "monday.torg"):
        (data / "backing-up" / name).write_text("something")
    made(data, data / "backing-up" / "tuesday.torg")
    assert listed(data / "backing-up") == ["lock", "monday.torg", "tuesday.torg"]


def test_an_encrypted_backup_needs_only_the_public_key_to_be_made_and_the_secret_one_to_be_read(data: Path, tmp_path: Path):
    (tmp_path / "public").write_text(make_key(tmp_path / "key", TestClock()) + "\n")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    made(data, tmp_path / "shop.torg", tmp_path / "public")
    assert is_sealed(tmp_path / "shop.torg")
    with pytest.raises(CannotRestore, match="holds no secret key"):
        restore(tmp_path / "shop.torg", tmp_path / "new", tmp_path / "public")
    assert not (tmp_path / "new").exists()
    assert restore(tmp_path / "shop.torg", tmp_path / "new", tmp_path / "key").stores["order"].head == 2


# ---------------------------------------------------------------- refusals


def test_a_folder_without_a_shop_is_refused(tmp_path: Path):
    with pytest.raises(CannotBackUp, match="holds no shop on embedded engines"):
        made(tmp_path, tmp_path / "shop.torg")


def test_a_disk_that_it_would_fill_is_refused(data: Path):
    largest = (data / "order" / "order.db").stat().st_size
    refuse_full(data, stores_of(data), 2 * largest)
    with pytest.raises(CannotBackUp, match="leave twice as much free"):
        refuse_full(data, stores_of(data), 2 * largest - 1)


def test_no_file_is_written_over(data: Path, backup: Path):
    with pytest.raises(CannotBackUp, match="is there already"):
        made(data, backup)


def test_one_backup_at_a_time(data: Path, tmp_path: Path):
    def another(_: str, __: int, ___: int) -> None:
        made(data, tmp_path / "other")

    with pytest.raises(CannotBackUp, match="another backup"):
        back_up(data, tmp_path / "one", (), TestClock(), another)
    assert not (tmp_path / "one").exists()


def test_stores_that_do_not_fit_together_are_not_backed_up(data: Path, tmp_path: Path):
    with closing(make_store(data / "payment" / "payment.db")) as payment:
        payment.execute(FOLLOW, {"source": "order", "position": 3})
    with pytest.raises(CannotBackUp, match="payment: follower has handled order's log up to 3, which goes up to 2"):
        made(data, tmp_path / "shop.torg")


@pytest.mark.parametrize(("table", "said"), [("log", "cart cannot be read: "), ("spare", r"cart/cart\.db is damaged: ")])
def test_a_broken_store_is_not_backed_up(data: Path, tmp_path: Path, table: str, said: str):
    file = data / "cart" / "cart.db"
    with closing(make_store(file)) as cart:
        cart.execute("create table spare (text text)")
        page = cart.execute("select rootpage from sqlite_schema where name = ?", (table,)).fetchone()[0]
    content = bytearray(file.read_bytes())
    content[4096 * (page - 1) : 4096 * (page - 1) + 4] = b"\xff\xff\xff\xff"
    file.write_bytes(content)
    with pytest.raises(CannotBackUp, match=said):
        made(data, tmp_path / "shop.torg")
    assert listed(tmp_path) == ["data"]


def test_nothing_is_written_over_by_a_restore(backup: Path, data: Path):
    with pytest.raises(CannotRestore, match="is not empty"):
        restore(backup, data, None)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_backup_that_was_cut_short_leaves_nothing_behind(backup: Path, tmp_path: Path, kept: float):
    content = backup.read_bytes()
    backup.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(CannotRestore, match="cut short"):
        restore(backup, tmp_path / "new", None)
    assert not (tmp_path / "new").exists()


def test_a_part_that_was_changed_is_named(backup: Path, tmp_path: Path):
    (tmp_path / "volume").mkdir()
    with pytest.raises(CannotRestore, match=r"is damaged: order/order\.db, stray are not what"):
        restore(rewritten(backup, lambda parts: parts.update({"order/order.db": b"x", "stray": b""})), tmp_path / "volume", None)
    assert listed(tmp_path / "volume") == []


def test_a_part_that_is_missing_is_named(backup: Path, tmp_path: Path):
    with pytest.raises(CannotRestore, match="is damaged: secret is not what"):
        restore(rewritten(backup, lambda parts: parts.pop("secret")), tmp_path / "new", None)


@pytest.mark.parametrize("name", ["../stray", "/tmp/stray", "a/../../stray"])
def test_nothing_is_written_elsewhere(backup: Path, tmp_path: Path, name: str):
    with pytest.raises(CannotRestore, match="nothing that a backup of Torg has in it"):
        restore(rewritten(backup, lambda parts: parts.update({name: b"x"})), tmp_path / "new", None)


@pytest.mark.parametrize("newer", [{"torg": "99.0"}, {"format": archive.FORMAT + 1}])
def test_a_backup_of_a_newer_version_is_refused(backup: Path, tmp_path: Path, newer: dict[str, object]):
    def change(parts: dict[str, bytes]) -> None:
        parts[archive.MANIFEST] = json.dumps({**json.loads(parts[archive.MANIFEST]), "stores": "as nobody knows yet", **newer}).encode()

    with pytest.raises(CannotRestore, match="newer than this one"):
        restore(rewritten(backup, change), tmp_path / "new", None)


def test_what_is_no_backup_is_refused(tmp_path: Path):
    (tmp_path / "letter").write_text("Dear Sir")
    with pytest.raises(CannotRestore, match="no backup"):
        restore(tmp_path / "letter", tmp_path / "new", None)
    with pytest.raises(CannotRestore, match="there is no file"):
        restore(tmp_path / "nothing", tmp_path / "new", None)


def test_keys_that_do_not_fit_are_said(data: Path, tmp_path: Path):
    for name in ("key", "other"):
        make_key(tmp_path / name, TestClock())
    made(data, tmp_path / "plain")
    made(data, tmp_path / "sealed", tmp_path / "key")
    with pytest.raises(CannotRestore, match="is encrypted: name the file of its key"):
        restore(tmp_path / "sealed", tmp_path / "new", None)
    with pytest.raises(CannotRestore, match="cannot be decrypted"):
        restore(tmp_path / "sealed", tmp_path / "new", tmp_path / "other")
    with pytest.raises(CannotRestore, match="is not encrypted"):
        restore(tmp_path / "plain", tmp_path / "new", tmp_path / "key")
    with pytest.raises(CannotBackUp, match="is there already"):
        make_key(tmp_path / "key", TestClock())
    (tmp_path / "nonsense").write_text("age1nonsense\n")
    with pytest.raises(CannotBackUp, match="cannot be read as age keys"):
        made(data, tmp_path / "new", tmp_path / "nonsense")


def test_an_encrypted_backup_that_was_changed_is_refused(data: Path, tmp_path: Path):
    make_key(tmp_path / "key", TestClock())
    made(data, tmp_path / "sealed", tmp_path / "key")
    content = bytearray((tmp_path / "sealed").read_bytes())
    content[-40] ^= 1
    (tmp_path / "sealed").write_bytes(content)
    with pytest.raises(CannotRestore, match="cannot be decrypted"):
        restore(tmp_path / "sealed", tmp_path / "new", tmp_path / "key")
    assert not (tmp_path / "new").exists()
