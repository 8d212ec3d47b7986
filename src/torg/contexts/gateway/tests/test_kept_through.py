"""From a browser through a gateway that keeps answers to a context's own edge, on real ports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from torg.contexts.gateway.adapters.answers_memory import MemoryAnswers
from torg.contexts.gateway.adapters.front_asgi import Gateway
from torg.contexts.gateway.adapters.keeping_asgi import Keeper
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.keeping import Keep
from torg.contexts.gateway.model.paths import tree
from torg.contexts.gateway.tests.fronting import SERVICES, joined, listening, nothing_here, unhurried
from torg.kit import values
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle
from torg.kit.http import App, Request, Response, Route
from torg.kit.http.cache import ResponseCache
from torg.kit.messages import Message
from torg.kit.rpc.door import Door
from torg.kit.rpc.tests.house import listening as serving
from torg.kit.testing.identities import speaking_for

SHELF, DESK = "/shelves/1", "/desks/1"
KEEPS = tree({"/shelves/*": Keep(fresh=30, away=60), "/desks/*": Keep(fresh=30, cookies="ignored")})
PATHS = tree({"/": Row(context="catalog", timeout=5)})


def _no_messages(kind: type[Message]) -> Handle:
    raise KeyError(kind)


class Context:
    """An edge with what everybody may see, and what is its owner's."""

    def __init__(self) -> None:
        self.shelf, self.made = "cup", 0
        self.cache = ResponseCache()
        self.app = App(values.utc_now, values.new_id, self.authenticate, self.cache, admission=unhurried())
        shelf = Route(
            method="GET", path="/shelves/{id}", endpoint=self.show, right="catalog:read", etag=True, cached=60, tags=lambda path: (f"shelf:{path['id']}",)
        )
        self.app.add([shelf, replace(shelf, path="/desks/{id}", right="account:read")], _no_messages)

    async def authenticate(self, token: str) -> Identity | None:
        return Identity(token, frozenset({Role.CUSTOMER}))

    async def show(self, request: Request) -> Response:
        self.made += 1
        whose = request.identity.user_id if request.identity else "anybody"
        return Response(200, f"{self.shelf} of {whose}".encode(), [(b"content-type", b"text/plain")])


@asynccontextmanager
async def opened(context: Context) -> AsyncIterator[tuple[aiohttp.ClientSession, MemoryAnswers]]:
    door = Door(context.app, nothing_here, speaking_for(*SERVICES[1:], services=SERVICES))
    async with serving(door) as address:
        fleet, answers = joined(address), MemoryAnswers(1 << 20)
        proxy = Proxy(fleet, values.new_id)
        gateway = Gateway(nothing_here, ("gateway",), PATHS, proxy, Keeper(proxy, KEEPS, answers, lambda: True))
        async with listening(gateway) as outside, aiohttp.ClientSession(f"http://{outside}") as browser:
            yield browser, answers
        await gateway.close()
        await fleet.close()


@pytest.fixture
async def context() -> Context:
    return Context()


async def look(browser: aiohttp.ClientSession, path: str = SHELF, **headers: str) -> tuple[int, str, dict[str, str]]:
    async with browser.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as reply:
        return reply.status, await reply.text(), {name.lower(): value for name, value in reply.headers.items()}


async def test_the_context_is_asked_once_and_again_after_its_purge(context: Context):
    async with opened(context) as (browser, answers):
        first, second = await look(browser), await look(browser)
        assert (first[:2], second[:2], context.made) == ((200, "cup of anybody"), (200, "cup of anybody"), 1)
        assert second[2]["cache-status"].startswith("Torg; hit; ttl=")
        assert (await look(browser, if_none_match=first[2]["etag"]))[:2] == (304, "")
        context.shelf = "mug"
        answers.purge("shelf:1")
        assert (await look(browser))[1] == "mug of anybody"


async def test_what_the_contexts_own_edge_still_keeps_does_not_come_back(context: Context):
    async with opened(context) as (browser, answers):
        await look(browser, authorization="Bearer anna")
        async with browser.get(SHELF, headers={"range": "bytes=0-"}) as reply:  # kept by the context's edge, and not by the gateway
            assert await reply.text() == "cup of anybody"
        context.shelf = "mug"
        answers.purge("shelf:1")
        assert (await look(browser))[1] == "mug of anybody"


async def test_an_answer_that_is_somebodys_is_kept_for_nobody(context: Context):
    async with opened(context) as (browser, _):
        assert (await look(browser, cookie="session=anna"))[1] == "cup of anna"
        for person in ("anna", "boris"):
            assert (await look(browser, authorization=f"Bearer {person}"))[1] == f"cup of {person}"
        assert (await look(browser))[1] == "cup of anybody"


async def test_a_path_that_takes_a_right_is_never_kept_whatever_is_declared(context: Context):
    async with opened(context) as (browser, answers):
        assert (await look(browser, DESK))[0] == 401
        for person in ("anna", "boris"):
            assert (await look(browser, DESK, cookie=f"session={person}"))[1] == f"cup of {person}"
        assert answers.counts() == (0, 0)


async def test_nobody_outside_can_speak_for_the_gateway(context: Context):
    async with opened(context) as (browser, _):
        for headers in ({"torg_keeps": "1", "authorization": "Bearer anna"}, {"torg_keeps": "1", "range": "bytes=0-"}, {}, {}):
            _, _, told = await look(browser, **headers)
            assert not [name for name in told if name.startswith("torg-")]
