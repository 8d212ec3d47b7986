"""The shop's pages, put together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from torg.contexts.web.adapters.categories_memory import MemoryCategories
from torg.contexts.web.adapters.pages_jinja import JinjaPages
from torg.contexts.web.adapters.renewals_memory import Buy, MemoryRenewals
from torg.contexts.web.adapters.statics import read_statics
from torg.contexts.web.adapters.texts import read_texts
from torg.contexts.web.ports import Static, WebDeps
from torg.contexts.web.routes import FUNCTIONS, problem_page, routes
from torg.kit.http.cookies import is_secure
from torg.kit.http.form_tokens import FormTokens
from torg.kit.module import Kit, Module
from torg.kit.spared import Spared

HERE = Path(__file__).parent
SPARE, SEARCH, TREE = 0.4, 2.5, 2.0  # seconds that a page waits for something it can do without, for a search, for the tree of categories


def build(kit: Kit) -> Module:
    statics, pages = _made()
    spare = Spared(kit.call, SPARE)
    deps = WebDeps(
        call=kit.call, spare=spare, search=Spared(kit.call, SEARCH), clock=kit.clock, new_id=kit.new_id, store=kit.store, currency=kit.settings.currency,
        access=kit.access,
        pages=pages, renewals=MemoryRenewals(_buyer(kit), kit.clock), categories=MemoryCategories(Spared(kit.call, TREE), spare),
        statics=statics,
        describe=kit.describe, public_url=kit.public_url, outside=_host(kit.settings.oidc_issuer), secure=is_secure(kit.public_url),
        form_tokens=FormTokens(kit.secret), new_token=lambda: kit.randomness(16).hex(),
    )  # fmt: skip
    return Module(name="web", routes=routes(deps), problem_page=problem_page(deps))


def _host(issuer: str) -> str:
    """As people know it."""
    return issuer.partition("://")[2].partition("/")[0]


@cache
def _made() -> tuple[Mapping[str, Static], JinjaPages]:
    """What is the same for every shop of a process: compiling the templates takes longer than everything else at its start."""
    statics, addresses = read_statics(HERE / "static")
    return statics, JinjaPages(HERE / "templates", read_texts(HERE / "locale"), addresses, FUNCTIONS)


def _buyer(kit: Kit) -> Buy:
    """Who asks for new tokens: where there are several instances, one of them."""
    if kit.redis is None:
        return kit.call
    from torg.contexts.web.adapters.renewals_redis import RedisPurchases

    return RedisPurchases(kit.call, kit.redis, kit.new_id)
