"""Taken apart into processes the shop is the same: every path finds its context, and the descriptions put together again are the one there was."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from typing import Any

import pytest

from torg import compose, serve, topology
from torg.contexts.gateway.adapters.declared_toml import load
from torg.contexts.gateway.model import paths as paths_
from torg.kit.http import Urgency
from torg.kit.http.openapi import merged, openapi
from torg.kit.messages import Command, Query, context_of
from torg.kit.module import Module
from torg.kit.settings import BadSettings, Settings

VERSION, SERVER = "1", "http://torg.test"
DECLARED = load("", (*topology.CONTEXTS, topology.SANDBOX))


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[Module]:
    async def composed() -> list[Module]:
        app = await compose.compose(Settings(data=str(tmp_path_factory.mktemp("shop")), sync="OFF", password_memory_kib=8))
        await app.close()
        return app.modules

    return asyncio.run(composed())


def test_the_gateway_knows_whose_every_path_is(modules: list[Module]):
    paths = paths_.tree(DECLARED.routes)
    routed = {(route.path, module.name) for module in modules for route in module.routes}
    assert len(routed) > 100
    filled = {(path.replace("{", "").replace("}", ""), name) for path, name in routed}
    assert [(path, name, paths_.leaf_of(path, paths).context) for path, name in sorted(filled) if paths_.leaf_of(path, paths).context != name] == []


def test_the_gateway_takes_nothing_for_less_urgent_than_its_context_does(modules: list[Module]):
    """What is for staff alone it knows just where their pages are."""
    rows = paths_.tree(DECLARED.routes)
    routed = {(route.path.replace("{", "").replace("}", ""), route.urgency) for module in modules for route in module.routes}
    assert [(path, urgency) for path, urgency in sorted(routed) if urgency is not Urgency.ALWAYS and paths_.leaf_of(path, rows).rank > urgency] == []


def test_a_context_answers_for_its_own_messages_alone(modules: list[Module]):
    """Else the answer to an Idempotency-Key would be filed in another process than its effect."""
    strangers = [
        (module.name, route.path, route.message.NAME)
        for module in modules
        for route in module.routes
        if route.message and not route.endpoint and context_of(route.message) != module.name
    ]
    assert strangers == []


def test_descriptions_of_parts_make_the_description_of_the_whole(modules: list[Module]):
    whole = openapi([route for module in modules for route in module.routes], VERSION, SERVER)
    parts = merged([openapi(module.routes, VERSION, SERVER) for module in modules if any(route.public for route in module.routes)])
    assert parts["paths"].keys() == whole["paths"].keys()
    assert parts["tags"] == whole["tags"]
    for path, operations in whole["paths"].items():
        for method, operation in operations.items():
            found = parts["paths"][path][method]
            assert _spelt_out(found, parts) == _spelt_out(operation, whole), (method, path)


def _spelt_out(part: Any, document: Any, depth: int = 6) -> Any:
    """With what is referred to in its place: names may differ."""
    if isinstance(part, list):
        return [_spelt_out(item, document, depth) for item in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _spelt_out(document["components"]["schemas"][part["$ref"].rpartition("/")[2]], document, depth - 1) if depth else "…"
    return {name: _spelt_out(value, document, depth) for name, value in part.items()}


def test_two_schemas_of_one_name_are_told_apart():
    def part(tag: str, kind: str) -> dict[str, Any]:
        operation = {"tags": [tag], "responses": {"200": {"schema": {"$ref": "#/components/schemas/Line"}}}}
        return {"tags": [{"name": tag}], "paths": {f"/{tag}": {"get": operation}}, "components": {"schemas": {"Line": {"type": kind}}}}

    both = merged([part("cart", "string"), part("order", "object")])
    schemas, order = both["components"]["schemas"], both["paths"]["/order"]["get"]["responses"]["200"]["schema"]["$ref"]
    assert schemas == {"Line": {"type": "string"}, "order_Line": {"type": "object"}}
    assert order == "#/components/schemas/order_Line"


def test_a_process_stays_ready_without_what_the_shop_sells_without():
    assert topology.spares(topology.ALL, "review.store")
    assert topology.spares(topology.ALL, "task notification.mails")
    assert topology.spares(("catalog",), "catalog.index")
    assert not topology.spares(topology.ALL, "order.store")
    assert not topology.spares(("review",), "review.store"), "of no use without"


def test_who_may_ask_a_context_is_who_imports_what_it_is_asked() -> None:
    """Commands and queries of another context, in code that is no test."""
    asked: dict[str, set[str]] = {context: set() for context in topology.CONTEXTS}
    for context in topology.NAMES:
        package = importlib.import_module(f"torg.contexts.{context}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".tests" not in found.name:
                for kind in filter(_is_asked, vars(importlib.import_module(found.name)).values()):
                    asked[context_of(kind)] |= {context} - {context_of(kind)}
    assert asked == {context: set(topology.ASKED_BY.get(context, ())) for context in topology.CONTEXTS}


def _is_asked(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Command | Query) and bool(getattr(value, "NAME", "")) and value.NAME not in topology.ASKED_BY_ALL


def test_a_context_that_is_not_listed_may_not_ask() -> None:
    assert topology.may_ask("order", "payment", "payment.process_payment")
    assert not topology.may_ask("review", "payment", "payment.process_payment")
    assert topology.may_ask("review", "user", "user.authenticate")
    assert not topology.may_ask("review", "user", "user.grant_roles")


def test_at_the_desks_of_others_admin_and_the_command_line_alone_do_something() -> None:
    asking = {caller for caller in topology.SERVICES if topology.may_ask(caller, "desk", "desk.redrive")}
    assert asking == {"admin", topology.OPERATOR}
    assert not topology.may_ask(topology.GATEWAY, "log", "log.tail")
    assert topology.may_ask("analytics", "log", "log.tail")


@pytest.mark.parametrize(
    ("contexts", "settings", "says"),
    [
        pytest.param("gateway", Settings(tls=True), "at port 8000 the fleet alone is answered: set TORG_FRONT_PORT", id="people have no port"),
        pytest.param("gateway", Settings(tls=True, front_port=8000), "set TORG_FRONT_PORT to another one", id="people have the fleet's"),
        pytest.param("order", Settings(tls=True, discovery="consul://127.0.0.1:8500"), "set TORG_MONITOR_PORT", id="Consul cannot ask"),
    ],
)
def test_where_the_fleet_speaks_tls_who_does_not_needs_a_port(contexts: str, settings: Settings, says: str):
    with pytest.raises(BadSettings, match=says):
        serve.run_part(settings, contexts)
