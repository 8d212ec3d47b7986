from __future__ import annotations

from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from torg.contexts.analytics.adapters.clickhouse import Address
from torg.contexts.analytics.tests.house import MIGRATIONS, REGISTRY
from torg.kit.access import Access
from torg.kit.module import Kit
from torg.kit.settings import BadSettings, Settings
from torg.kit.store import Store
from torg.kit.testing import TestClock, answering, open_store
from torg.kit.values import new_id

build = import_module("torg.contexts.analytics.module").build  # as composition finds it


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "analytics", TestClock(), REGISTRY, MIGRATIONS) as opened:
        yield opened


def kit(store: Store, facts: str) -> Kit:
    return cast(
        Kit,
        SimpleNamespace(
            settings=Settings(facts=facts), store=store, clock=store.clock, new_id=new_id, call=answering({}), desks={}, access=Access.of_the_shop()
        ),
    )


def test_facts_stay_in_sql_where_nothing_is_said(store: Store):
    module = build(kit(store, ""))
    assert (module.jobs, module.checks) == ((), {})


@pytest.mark.parametrize(("url", "told"), [("duckdb://here", "known are clickhouse://"), ("clickhouse:///torg", "names no host"), ("http", "known are")])
def test_url_that_names_no_store_of_facts_is_refused_with_those_that_are_known(store: Store, url: str, told: str):
    with pytest.raises(BadSettings, match=told):
        build(kit(store, url))


async def test_context_starts_while_clickhouse_is_away_and_says_so(store: Store):
    module = build(kit(store, "clickhouse://torg:secret@127.0.0.1:1/torg"))
    await module.start()
    fault = await module.checks["clickhouse"]()
    assert "http://127.0.0.1:1 does not answer" in fault
    assert "secret" not in fault
    await module.close()


def test_address_takes_ports_databases_and_odd_passwords_from_the_url():
    assert Address.of("clickhouse://u:p%40ss@ch:8123/facts") == Address("http://ch:8123", "u", "p@ss", "facts")
    assert Address.of("clickhouses://ch") == Address("https://ch:8443", "default", "", "default")
