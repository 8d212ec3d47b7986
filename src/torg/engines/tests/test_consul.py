from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from torg.engines import processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.testing.engines import served

pytestmark = pytest.mark.slow

SERVICE = {"ID": "order-1", "Name": "order", "Address": "127.0.0.1", "Port": 9001, "Check": {"TTL": "30s", "Status": "passing"}}


@pytest.fixture(scope="module")
def consul() -> Iterator[tuple[Place, Mapping[str, str]]]:
    with served("consul") as (place, settings):
        if place is None:
            pytest.skip("somebody else's server is not ours to fill and to kill")
        yield place, settings


def asked(settings: Mapping[str, str], path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        settings["TORG_DISCOVERY"].replace("consul://", "http://") + path, None if body is None else json.dumps(body).encode(), method="PUT" if body else "GET"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or b"null")


def registered(settings: Mapping[str, str]) -> list[int]:
    return [entry["Service"]["Port"] for entry in asked(settings, "/v1/health/service/order?passing=true")]


def test_service_that_registers_is_found(consul: tuple[Place, Mapping[str, str]]) -> None:
    asked(consul[1], "/v1/agent/service/register", SERVICE)
    assert registered(consul[1]) == [9001]


def test_service_is_still_known_after_the_server_was_killed(consul: tuple[Place, Mapping[str, str]]) -> None:
    place, settings = consul
    asked(settings, "/v1/agent/service/register", SERVICE)
    started = run.running(place)
    assert started
    os.kill(started.pid, signal.SIGKILL)
    assert processes.gone(started.pid, started.mark, 60)
    run.start(named("consul"), place, lambda _: None)
    deadline = time.monotonic() + 60
    while registered(settings) != [9001] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert registered(settings) == [9001]


def test_it_listens_on_this_machine_alone(consul: tuple[Place, Mapping[str, str]]) -> None:
    place, settings = consul
    chosen = json.loads((place.data / "ports.json").read_text())
    known = asked(settings, "/v1/agent/self")["DebugConfig"]
    listening = [*known["HTTPAddrs"], *known["DNSAddrs"], known["SerfBindAddrLAN"], known["RPCBindAddr"]]
    assert {address.removeprefix("tcp://").removeprefix("udp://") for address in listening} == {f"127.0.0.1:{port}" for port in (place.port, *chosen.values())}
