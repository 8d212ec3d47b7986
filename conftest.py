"""Options of the whole test run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import structlog

SERVERS = ("postgres", "kafka", "redis", "mongo", "elastic", "clickhouse", "consul", "toxiproxy", "dns")
FIXTURES = frozenset({"postgres_url", "redis_url", "redis_house", "elastic_url", "clickhouse_url", "broker", "consul"})


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests of adapters on real servers are marked `engine`. A run of everything leaves them to
    `./torg test -m engine`, simulations to `-m simulation`, and what takes a shop of many processes for long to `-m fleet`, so that it stays a matter of
    minutes."""
    theirs = [item for item in items if item.get_closest_marker("engine") or _needs_a_server(item)]
    for item in theirs:
        item.add_marker("engine")
    if _of_everything(config):
        elsewhere = theirs + [item for item in items if item.get_closest_marker("simulation") or item.get_closest_marker("fleet")]
        config.hook.pytest_deselected(items=elsewhere)
        left = set(map(id, elsewhere))
        items[:] = [item for item in items if id(item) not in left]


def pytest_configure() -> None:
    """What code under test logs is written as the shop writes it: structlog's own way draws every traceback with all variables, which takes a second each."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist is told what it can't see: what the whole run was asked for."""
    node.workerinput["of_everything"] = _of_everything(node.config)


def _of_everything(config: pytest.Config) -> bool:
    told: Mapping[str, bool] = getattr(config, "workerinput", {})
    return told.get("of_everything", config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr)


def _needs_a_server(item: pytest.Item) -> bool:
    called = f"{item.path.stem} {getattr(getattr(item, 'callspec', None), 'id', '')}".lower()
    fixtures = getattr(item, "fixturenames", ())
    if not FIXTURES.isdisjoint(fixtures):
        return True
    return "src" in item.path.parts and ("engines" in item.path.parts or any(server in called for server in SERVERS))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engines",
        choices=("embedded", "server"),
        default="embedded",
        help="what contexts' suites keep their records in: SQLite, or PostgreSQL that is started; with --topology all engines of the shop",
    )


@pytest.fixture(scope="session", autouse=True)
def engines(request: pytest.FixtureRequest) -> Iterator[None]:
    """With `--engines server` a server for the session's suites; one that TORG_TEST_DB names is used as it is."""
    if request.config.getoption("--engines") == "embedded" or request.config.getoption("--topology", ""):
        yield
        return
    from torg.kit.testing.postgres import suites_on_a_server

    with suites_on_a_server():
        yield
