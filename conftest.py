"""Options of the whole test run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        choices=("embedded", "server"),
        default="embedded",
        help="what contexts' suites keep their records in: SQLite, or PostgreSQL that is started",
    )


@pytest.fixture(scope="session", autouse=True)
def engines(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--engines server` a server for the session's suites; one that TORG_TEST_DB names is used as it is."""
    if request.config.getoption("--engines") == "embedded":
        yield
        return
    from torg.kit.testing.postgres import suites_on_a_server

    with suites_on_a_server():
        yield
