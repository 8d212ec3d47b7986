"""The analytics context, put together."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from torg.contexts.analytics.adapters.audit import SalesAudit
from torg.contexts.analytics.adapters.facts_sql import SqlFacts
from torg.contexts.analytics.handlers import HANDLERS, REACTIONS
from torg.contexts.analytics.ports import AnalyticsDeps, Facts
from torg.contexts.analytics.routes import routes
from torg.kit.beside import Beside
from torg.kit.bus import Consumer
from torg.kit.module import Kit, Module, bound
from torg.kit.settings import BadSettings
from torg.kit.tasks import Job

KNOWN: Final = "clickhouse://user:password@host:port/database (clickhouses:// for TLS), or nothing for the context's own SQL store"


def beside() -> Beside:
    """How facts get into backups."""
    from torg.contexts.analytics.adapters.clickhouse_copying import CopiedFacts

    return CopiedFacts()


def build(kit: Kit) -> Module:
    facts, around = _facts(kit)
    deps = AnalyticsDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access, facts=facts, desks=kit.desks
    )  # fmt: skip
    return Module(
        name="analytics",
        handlers=bound(HANDLERS, deps),
        routes=routes(),
        consumers=(Consumer("analytics", bound(REACTIONS, deps)),),
        invariants=SalesAudit(deps.facts).invariants(),
        jobs=around.jobs, followers=around.followers, checks=around.checks, start=around.start, close=around.close,
    )  # fmt: skip


def _facts(kit: Kit) -> tuple[Facts, Module]:
    """The store of facts that the settings name, and what must run for it. Raises BadSettings."""
    url = kit.settings.facts
    if not url:
        return SqlFacts(kit.store.database, kit.clock, kit.new_id), Module("facts")
    scheme = urlsplit(url).scheme
    if scheme not in ("clickhouse", "clickhouses"):
        raise BadSettings(f"TORG_FACTS: there is no store of facts that {scheme or 'text without a scheme'!r} names; known are {KNOWN}")
    return _in_clickhouse(url, kit)


def _in_clickhouse(url: str, kit: Kit) -> tuple[Facts, Module]:
    from torg.contexts.analytics.adapters.clickhouse import Address, ClickHouse
    from torg.contexts.analytics.adapters.clickhouse_sender import Sender
    from torg.contexts.analytics.adapters.facts_clickhouse import ClickHouseFacts

    try:
        server = ClickHouse(Address.of(url))
    except ValueError as error:
        raise BadSettings(f"TORG_FACTS: {error}") from error
    sender = Sender(kit.store.database, server, kit.clock)
    jobs = (Job(sender.name, 0, sender.run), Job("analytics.repeats", 3600, sender.forget_repeats))
    facts = ClickHouseFacts(kit.store.database, server, sender, kit.clock, kit.new_id)
    return facts, Module("facts", jobs=jobs, followers=(sender,), checks={"clickhouse": server.fault}, start=facts.start, close=server.close)
