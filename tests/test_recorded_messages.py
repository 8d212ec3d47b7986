"""What earlier releases wrote is understood whole: rows stay in logs and topics longer than the version that wrote them runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.recorded import lost, releases, rows
from torg import compose
from torg.kit.messages import Registry, encode


@pytest.fixture(scope="module")
def registry() -> Registry:
    return compose.registry()


@pytest.mark.parametrize("release", releases(), ids=lambda release: release.stem)
def test_rows_of_an_earlier_release_are_read_whole(release: Path, registry: Registry) -> None:
    recorded = rows(release)
    assert len({row.name for row in recorded}) > 40
    forgotten = []
    for row in recorded:
        read = msgspec.json.decode(encode(registry.decode(row.name, bytes(row.data))))
        forgotten += [f"{row.name}{field}" for field in lost(msgspec.json.decode(row.data), read)]
    assert not forgotten


def test_a_field_that_is_no_longer_read_is_noticed(registry: Registry) -> None:
    row = next(row for row in rows(releases()[0]) if row.name == "order.placed")
    written = msgspec.json.decode(row.data) | {"gift": True}
    read = msgspec.json.decode(encode(registry.decode(row.name, encode(written))))
    assert list(lost(written, read)) == [".gift"]
