"""An installation's own secrets: made once, for their owner, and never empty."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from torg.kit.secrets import kept_secret
from torg.kit.values import randomness


def test_a_secret_is_made_once_and_read_by_its_owner_alone(tmp_path: Path):
    file = tmp_path / "new" / "secret"
    secret = kept_secret(file, randomness)
    assert len(secret) == 43 and kept_secret(file, randomness) == secret
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_a_full_disk_left_empty_is_no_secret(tmp_path: Path):
    file = tmp_path / "secret"
    file.touch()
    secret = kept_secret(file, randomness)
    assert len(secret) == 43 and kept_secret(file, randomness) == secret


def test_a_start_that_ends_while_the_secret_is_made_leaves_none_behind(tmp_path: Path):
    def full(_: int) -> bytes:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        kept_secret(tmp_path / "secret", full)
    assert len(kept_secret(tmp_path / "secret", randomness)) == 43


def test_many_who_ask_at_once_get_the_same(tmp_path: Path):
    start = threading.Barrier(8)

    def ask(_: int) -> str:
        start.wait()
        return kept_secret(tmp_path / "new" / "secret", randomness)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["secret"]
