"""What the commands say where they fail."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from torg.recovery.commands import or_explain, restore


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT])
def test_of_a_full_disk_it_is_said_how_much_room_there_is_and_where(tmp_path: Path, reason: int):
    def fill() -> None:
        raise OSError(reason, "No space left on device")

    with pytest.raises(SystemExit) as ended:
        or_explain(fill, tmp_path, tmp_path / "not" / "there" / "yet")
    said = str(ended.value)
    assert (f"{tmp_path} has room for " in said, f"{tmp_path}/not/there/yet has room for " in said) == (True, True)


def test_of_other_failures_nothing_is_said_about_room(tmp_path: Path):
    with pytest.raises(SystemExit) as ended:
        restore(tmp_path / "shop.torg", tmp_path / "new")
    assert str(ended.value) == f"torg: there is no file {tmp_path}/shop.torg"
