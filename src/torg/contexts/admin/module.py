"""The admin context, put together."""

from __future__ import annotations

from pathlib import Path

from torg.contexts.admin.adapters.books_sql import SqlBooks
from torg.contexts.admin.adapters.pages_jinja import JinjaStaffPages
from torg.contexts.admin.adapters.statics import read_statics
from torg.contexts.admin.adapters.trail_sql import SqlTrail
from torg.contexts.admin.contracts import GetInvariants
from torg.contexts.admin.handlers import HANDLERS
from torg.contexts.admin.handlers.inspecting import get_invariants
from torg.contexts.admin.handlers.invariants import invariants
from torg.contexts.admin.ports import AdminDeps, PageDeps
from torg.contexts.admin.routes import api, pages
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job

HERE = Path(__file__).parent
INSPECT_EVERY = 30.0  # seconds


def build(kit: Kit) -> Module:
    deps = AdminDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, desks=kit.desks,
        trail=SqlTrail(kit.store.database, kit.clock), books=SqlBooks(kit.store.database),
    )  # fmt: skip

    statics, addresses = read_statics(HERE / "static")
    shown = PageDeps(
        call=kit.call_from_pages, clock=kit.clock, new_id=kit.new_id, currency=kit.settings.currency, contexts=kit.desks.keys(),
        pages=JinjaStaffPages(HERE / "templates", HERE / "locale", addresses), statics=statics,
    )  # fmt: skip

    async def inspect() -> None:
        await get_invariants(GetInvariants(), deps)

    return Module(
        name="admin",
        handlers=bound(HANDLERS, deps),
        routes=(*api(), *pages(shown)),
        jobs=(Job("admin.invariants", INSPECT_EVERY, inspect),),
        invariants=invariants(deps),
    )
