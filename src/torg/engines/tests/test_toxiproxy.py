from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from torg.kit.ports import free_port
from torg.kit.testing.engines import running

pytestmark = pytest.mark.slow


def told(settings: Mapping[str, str], path: str, body: object) -> Any:
    request = urllib.request.Request(settings["TOXIPROXY_URL"] + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_connection_through_it_is_as_slow_as_told() -> None:
    port = free_port()
    with running("toxiproxy") as settings, socket.create_server(("127.0.0.1", 0)) as server:
        told(settings, "/proxies", {"name": "slow", "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{server.getsockname()[1]}"})
        told(settings, "/proxies/slow/toxics", {"type": "latency", "attributes": {"latency": 300}})
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            began = time.monotonic()
            client.sendall(b"?")
            other, _ = server.accept()
            with other:
                other.sendall(other.recv(1))
                assert client.recv(1) == b"?"
        assert time.monotonic() - began >= 0.3
