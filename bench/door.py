"""A gateway alone, as it stands in front of a fleet: `python -m bench.door PORT BACKEND [REVIEWS]…`, the last being HOST:PORT of one context's instances.
Or, without arguments, what the front door takes of the CPU in one process: microseconds a request with it and of the bare handler, as JSON."""

from __future__ import annotations

import asyncio
import sys
import time
import tomllib
from typing import Any

import msgspec
import uvloop

from torg import topology
from torg.contexts.admin.contracts import NetworkRules
from torg.contexts.gateway.adapters.answers_memory import MemoryAnswers
from torg.contexts.gateway.adapters.declared_toml import DEFAULTS, declared
from torg.contexts.gateway.adapters.front_asgi import Gateway
from torg.contexts.gateway.adapters.guard_asgi import Guard
from torg.contexts.gateway.adapters.keeping_asgi import Keeper
from torg.contexts.gateway.adapters.networks import Lists
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.contexts.gateway.model.keeping import Keep
from torg.contexts.gateway.model.paths import tree
from torg.kit import values
from torg.kit.auth import Identity, Role
from torg.kit.countries import open_atlas
from torg.kit.http import Route
from torg.kit.http.admission import Admission
from torg.kit.http.app import App
from torg.kit.http.request import Request, Response
from torg.kit.limits.memory import MemoryLimiter
from torg.kit.messages import Registry
from torg.kit.rpc.fleet import join
from torg.kit.rpc.identity import KeyPair, StaticKeys
from torg.kit.rpc.peers import StaticPeers
from torg.kit.rpc.serving import Serving

KEPT = "/api/v1/products/2"
"""What the gateway keeps; everything else it hands on."""
MANY = 1_000_000_000  # requests a minute: every limit counts, and none refuses
PATH, COUNT, TURNS = "/api/v1/cart", 3000, 5
BODY = b'{"items":[],"total":{"amount":0,"currency":"RUB"}}'
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
SCOPE = {
    "type": "http", "method": "GET", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "scheme": "http", "client": ("127.0.0.1", 1),
    "headers": [(b"host", b"bench"), (b"accept", b"*/*"), (b"authorization", b"Bearer token")],
}  # fmt: skip


def guarded(inner: Any) -> Guard:
    """The package's own front door around something."""
    document = tomllib.loads(DEFAULTS.read_text())
    for limit in document["limits"].values():
        limit["requests"] = MANY
        limit.pop("guests", None)
    found = declared(document, (*topology.CONTEXTS, topology.SANDBOX))
    lists = Lists(_no_rules, found.countries, open_atlas(""), values.utc_now)
    return Guard(inner, found, MemoryLimiter(), _anna, lists, None, values.new_id)


async def _no_rules() -> NetworkRules:
    return NetworkRules(())


async def _anna(_: str) -> Identity:
    return Identity("anna", frozenset({Role.CUSTOMER}))


async def _serve(port: int, backend: int, *reviews: str) -> None:
    peers = StaticPeers({key: [f"127.0.0.1:{backend}"] for key in topology.CONTEXTS} | ({"review": reviews} if reviews else {}))
    keys = StaticKeys.of({name: KeyPair(values.randomness(32)) for name in topology.SERVICES}, ("gateway",))
    fleet = join("gateway", topology.CONTEXTS, peers, keys, Registry(()), values.utc_now, values.randomness)
    document = tomllib.loads(DEFAULTS.read_text())
    paths = tree(declared(document, (*topology.CONTEXTS, topology.SANDBOX)).routes)
    proxy = Proxy(fleet, values.new_id, Admission.of_this_loop())
    keeper = Keeper(proxy, tree({KEPT: Keep(fresh=3600)}), MemoryAnswers(1 << 20), lambda: True)
    gateway = Gateway(_bare, ("gateway",), paths, proxy, keeper)
    await Serving(guarded(gateway), "127.0.0.1", port, clock=values.utc_now).start()
    print(f"Torg is ready at http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


async def _bare(_: Any, __: Any, send: Any) -> None:
    await send(START)
    await send({"type": "http.response.body", "body": BODY})


async def _endpoint(_: Request) -> Response:
    return Response(200, BODY, [(b"content-type", b"application/json")])


async def _in_process() -> dict[str, list[float]]:
    """In turns, so that what else the machine does meets both."""
    app = App(values.utc_now, values.new_id, _anna, admission=Admission.of_this_loop())
    app.add([Route(method="GET", path=PATH, endpoint=_endpoint, right="cart:read")], _nobody)
    whole, found = guarded(app), dict[str, list[float]](bare=[], whole=[])
    for _ in range(TURNS):
        found["bare"].append(await _cost(_bare))
        found["whole"].append(await _cost(whole))
    return found


def _nobody(_: Any) -> Any:
    raise AssertionError("the route has an endpoint")


async def _cost(application: Any) -> float:
    """Microseconds of CPU a request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    began = time.process_time()
    for _ in range(COUNT):
        await application({**SCOPE}, receive, send)
    seconds = time.process_time() - began
    assert {message["status"] for message in sent if "status" in message} == {200}, sent[0]
    return seconds / COUNT * 1e6


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
    else:
        sys.stdout.write(msgspec.json.encode(uvloop.run(_in_process())).decode())
