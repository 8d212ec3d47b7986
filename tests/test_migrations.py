"""Every migration of the shop lets the version before it go on."""

from __future__ import annotations

from pathlib import Path

import pytest

import torg
from torg.kit.sql.compatibility import breaking

FOLDERS = sorted(folder for folder in Path(torg.__file__).parent.rglob("migrations") if any(folder.glob("*.sql")))


def test_all_contexts_are_looked_at():
    assert {"order", "payment", "inventory", "sql", "acquirer"} <= {folder.parent.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_migrations_break_no_version_that_still_runs(folder: Path):
    assert breaking(folder) == []
