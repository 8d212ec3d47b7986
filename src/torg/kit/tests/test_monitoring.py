"""Who hears what a process says about itself."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torg.kit.http.monitoring import Monitoring, Veiled
from torg.kit.networks import networks_of
from torg.kit.settings import BadSettings, Settings

HERE = networks_of("TORG_MONITOR_FROM", Settings().monitor_from)


async def shop(scope: Any, _: Any, send: Any) -> None:
    status = 503 if scope["query_string"] else 200
    body = b'{"status":"%b","checks":{"order.store":"10.0.0.7 refuses the password"}}' % (b"not ready" if status == 503 else b"ready")
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), (b"retry-after", b"1")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def ask(application: Any, path: str, client: str, *headers: tuple[bytes, bytes], query: bytes = b"", method: str = "GET") -> tuple[int, bytes, Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query, "client": (client, 1), "headers": list(headers)}
    await application(scope, None, send)
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


@pytest.mark.parametrize("client", ["198.51.100.7", "10.0.0.7", "2001:db8::1", ""])
async def test_strangers_hear_whether_the_shop_is_ready_and_no_more(client: str):
    assert (await ask(Veiled(shop, HERE), "/metrics", client))[0] == 404
    status, body, headers = await ask(Veiled(shop, HERE), "/ready", client)
    assert (status, json.loads(body)) == (200, {"status": "ready"})
    assert b"content-length" not in headers
    status, body, headers = await ask(Veiled(shop, HERE), "/ready", client, query=b"x")
    assert (status, json.loads(body), headers[b"retry-after"]) == (503, {"status": "not ready"}, b"1")
    assert (await ask(Veiled(shop, HERE), "/ready", client, method="HEAD"))[:2] == (200, b"")
    assert b"password" in (await ask(Veiled(shop, HERE), "/cart", client))[1], "everything else is the shop's"


@pytest.mark.parametrize("client", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
async def test_this_machine_hears_all_of_it_unless_it_asks_for_somebody_else(client: str):
    assert b"password" in (await ask(Veiled(shop, HERE), "/ready", client))[1]
    assert (await ask(Veiled(shop, HERE), "/metrics", client))[0] == 200
    for name in (b"x-forwarded-for", b"forwarded"):
        assert b"password" not in (await ask(Veiled(shop, HERE), "/ready", client, (name, b"198.51.100.7")))[1]
        assert (await ask(Veiled(shop, HERE), "/metrics", client, (name, b"198.51.100.7")))[0] == 404


async def test_a_container_hears_those_whom_its_engine_hands_on_when_it_is_told_so():
    near = networks_of("TORG_MONITOR_FROM", "127.0.0.1, 172.16.0.0/12")
    assert [(await ask(Veiled(shop, near), "/metrics", client))[0] for client in ("172.18.0.1", "198.51.100.7")] == [200, 404]


async def test_what_is_no_network_is_said_at_the_start():
    with pytest.raises(BadSettings, match=r"TORG_MONITOR_FROM: .*name networks as"):
        networks_of("TORG_MONITOR_FROM", "everybody")


async def test_the_port_for_those_who_watch_says_all_of_it_and_nothing_else():
    for path in ("/metrics", "/ready", "/health"):
        assert b"password" in (await ask(Monitoring(shop), path, "198.51.100.7"))[1]
    for path in ("/", "/cart", "/api/v1/products", "/rpc/order.place", "/openapi.json"):
        assert (await ask(Monitoring(shop), path, "127.0.0.1"))[0] == 404
