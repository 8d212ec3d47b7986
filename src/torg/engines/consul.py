"""HashiCorp Consul itself: a single server, built from its Go module.

Go refuses to fetch the 2.x line by its tags (the module's path has no /v2), so this is the newest 1.x. Its own `go.mod` points at folders beside it
for the modules that it is released with; here they come from the proxy, the `api` of the release after, since 1.22.7 was built from a newer one than
it names."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines import go_build
from torg.engines.go_build import GoProgram
from torg.engines.port import EngineRefused, Place, Tell
from torg.kit.ports import free_port

PROGRAM: Final = GoProgram(
    name="consul",
    package="github.com/hashicorp/consul",
    modules={"github.com/hashicorp/consul": "v1.22.7", "github.com/hashicorp/consul/api": "v1.34.1"},
    go="1.25.9",
)
ASK_SECONDS: Final = 2


class Consul:
    """One Consul server on this machine only: HTTP at the port, its own talk at the next two and DNS (`order.service.consul`) at the third, where those
    were free at its first start; `ports.json` beside its data says which they are."""

    name = "consul"
    port = 28500
    version = "Consul 1.22.7"
    image = "hashicorp/consul:1.22"

    def install(self, home: Path, tell: Tell) -> None:
        go_build.install(home, PROGRAM, tell)

    def command(self, place: Place) -> list[str]:
        program = go_build.installed(place.home, PROGRAM)
        if program is None:
            raise EngineRefused("Consul is not built: run `torg engines up consul`, which builds it first")
        place.data.mkdir(parents=True, exist_ok=True)
        configuration = place.data / "consul.json"
        configuration.write_text(json.dumps(_configuration(place), indent=2))
        return [str(program), "agent", f"-config-file={configuration}"]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        """Asks for the leader: until there is one, nothing can be registered."""
        try:
            leader = _get(place.port, "/v1/status/leader")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"no answer at 127.0.0.1:{place.port}: {error}"
        return "" if leader else f"Consul at 127.0.0.1:{place.port} has no leader yet"

    def prepare(self, place: Place) -> None:
        """A new server needs nothing: services register themselves."""

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_DISCOVERY": f"consul://127.0.0.1:{place.port}"}


def _configuration(place: Place) -> dict[str, object]:
    ports = _ports(place)
    return {
        "server": True,
        "bootstrap_expect": 1,
        "node_name": "torg",
        "datacenter": "torg",
        "data_dir": str(place.data / "data"),
        "bind_addr": "127.0.0.1",
        "advertise_addr": "127.0.0.1",
        "client_addr": "127.0.0.1",
        "ports": {"http": place.port, **ports, "serf_wan": -1, "grpc": -1, "grpc_tls": -1, "https": -1},
        "performance": {"raft_multiplier": 1},
        "connect": {"enabled": False},
        "ui_config": {"enabled": True},
        "disable_update_check": True,
        "disable_remote_exec": True,
        "log_level": "warn",
    }


def _ports(place: Place) -> dict[str, int]:
    """Chosen once: a server that comes back at another port is a stranger to itself."""
    kept = place.data / "ports.json"
    if not kept.exists():
        kept.write_text(json.dumps({name: _free(place.port + above) for above, name in enumerate(("server", "serf_lan", "dns"), 1)}))
    ports: dict[str, int] = json.loads(kept.read_text())
    return ports


def _free(wanted: int) -> int:
    """That port, or any other where something listens there now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
        return wanted


def _get(port: int, path: str) -> object:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    return json.loads(body) if answer.status == http.client.OK else None
