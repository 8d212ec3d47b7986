from __future__ import annotations

from collections.abc import Iterator

import pytest

from torg.kit.testing.engines import running


@pytest.fixture(scope="session")
def clickhouse_url() -> Iterator[str]:
    with running("clickhouse") as settings:
        yield settings["TORG_FACTS"]
