"""The admin context, put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torg.contexts.admin.adapters.books_sql import SqlBooks
from torg.contexts.admin.adapters.door_sql import SqlRules
from torg.contexts.admin.adapters.guide_pages import StaffGuide
from torg.contexts.admin.adapters.pages_jinja import JinjaStaffPages
from torg.contexts.admin.adapters.statics import read_statics
from torg.contexts.admin.adapters.trail_sql import SqlTrail
from torg.contexts.admin.contracts import CountryRule, NetworkRule
from torg.contexts.admin.handlers import HANDLERS
from torg.contexts.admin.handlers.inspecting import EVERY, LONGEST, watch
from torg.contexts.admin.handlers.invariants import invariants
from torg.contexts.admin.ports import AdminDeps, PageDeps
from torg.contexts.admin.routes import api, pages
from torg.kit.countries import open_atlas
from torg.kit.http.form_tokens import FormTokens
from torg.kit.module import Kit, Module, bound
from torg.kit.tasks import Job

HERE = Path(__file__).parent
LEASE = LONGEST * 1.5  # seconds: longer than the job rests, so that it stays with the process that remembers what it has found


def build(kit: Kit) -> Module:
    deps = AdminDeps(
        call=kit.call, clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency, access=kit.access, desks=kit.desks,
        trail=SqlTrail(kit.store, kit.secret), networks=SqlRules(kit.store.database, NetworkRule, "network"),
        countries=SqlRules(kit.store.database, CountryRule, "country"), atlas=open_atlas(kit.settings.geo), books=SqlBooks(kit.store.database),
        guide=StaffGuide(),
    )  # fmt: skip

    statics, addresses = read_statics(HERE / "static")
    shown = PageDeps(
        call=kit.call_from_pages, clock=kit.clock, new_id=kit.new_id, currency=kit.settings.currency, access=kit.access, contexts=kit.desks.keys(),
        pages=JinjaStaffPages(HERE / "templates", HERE / "locale", addresses), statics=statics, form_tokens=FormTokens(kit.secret),
    )  # fmt: skip

    return Module(
        name="admin",
        handlers=bound(HANDLERS, deps),
        routes=(*api(), *pages(shown)),
        jobs=(Job("admin.invariants", EVERY, partial(watch, deps, kit.randomness), rest=lambda: deps.inspection.rests or EVERY, lease=LEASE),),
        invariants=invariants(deps),
    )
