"""Trouble on the way between any two: Toxiproxy before engines, and between the processes of a fleet."""

from __future__ import annotations

import asyncio
import json
import tomllib
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from torg.kit.ports import free_port

Toxic = tuple[str, str, Mapping[str, int]]
BOTH: Final = ("upstream", "downstream")
TROUBLES: Final[Mapping[str, Sequence[Toxic]]] = {
    "is slow": [(way, "latency", {"latency": 300, "jitter": 200}) for way in BOTH],
    "resets connections": [("downstream", "reset_peer", {"timeout": 50})],
    "is cut": [(way, "timeout", {"timeout": 0}) for way in BOTH],
    "swallows what is asked": [("upstream", "timeout", {"timeout": 0})],
    "swallows what is answered": [("downstream", "timeout", {"timeout": 0})],
    "cuts answers off": [("downstream", "limit_data", {"bytes": 2_000})],
    "comes in small pieces": [(way, "slicer", {"average_size": 64, "size_variation": 32, "delay": 100}) for way in BOTH],
}
"""What can be wrong with a connection, as Toxiproxy's toxics: which way, of which kind, how."""
LOOK_EVERY = 0.03  # seconds between looks at who runs where
SETTLES = 0.4  # seconds until processes go by a changed list
HERE = "127.0.0.1"


class Proxies:
    """Toxiproxy, by its HTTP interface."""

    def __init__(self, api: str) -> None:
        self._api, self.ports = api, dict[str, int]()

    def before(self, name: str, upstream: int) -> int:
        """A new port that leads to another one of this machine."""
        self.ports[name] = free_port()
        self._ask("POST", "/proxies", {"name": name, "listen": f"{HERE}:{self.ports[name]}", "upstream": f"{HERE}:{upstream}"})
        return self.ports[name]

    def remove(self, name: str) -> None:
        del self.ports[name]
        self._ask("DELETE", f"/proxies/{name}")

    @asynccontextmanager
    async def trouble(self, name: str, kind: str) -> AsyncIterator[None]:
        """On that way, as long as the block lasts."""
        toxics = TROUBLES[kind]
        for number, (way, sort, how) in enumerate(toxics):
            await asyncio.to_thread(self._ask, "POST", f"/proxies/{name}/toxics", {"name": str(number), "stream": way, "type": sort, "attributes": how})
        try:
            yield
        finally:
            for number in range(len(toxics)):
                await asyncio.to_thread(self._ask, "DELETE", f"/proxies/{name}/toxics/{number}")

    def _ask(self, method: str, path: str, body: object = None) -> None:
        request = urllib.request.Request(self._api + path, json.dumps(body).encode() if body else None, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()


class Wires:
    """Who finds whom where, for each process of a fleet by itself: what its supervisor says, but for the ways that lead through a proxy just now.
    `discovery` is the setting that has processes look here."""

    def __init__(self, data: Path) -> None:
        self._peers, self._folder = data / "fleet" / "peers.toml", data / "wires"
        self._folder.mkdir(parents=True)
        self.discovery = f"file:{self._folder}/{{process}}.toml"
        self._bent: dict[str, dict[str, int]] = {}
        self._told: dict[str, str] = {}
        self._known = ""

    def open(self, processes: Sequence[str]) -> None:
        for process in processes:
            self._told[process] = ""
            (self._folder / f"{process}.toml").touch()

    async def follow(self) -> None:
        """Until it is cancelled."""
        while True:
            if self._peers.exists() and (said := self._peers.read_text()) != self._known:
                self._known = said
                self._write_all()
            await asyncio.sleep(LOOK_EVERY)

    def addresses(self, context: str) -> list[str]:
        """Where a context runs."""
        found: list[str] = tomllib.loads(self._known).get(context, [])
        return found

    @asynccontextmanager
    async def trouble(self, proxies: Proxies, asking: str, context: str, kind: str) -> AsyncIterator[None]:
        """On the way from a process to a context, as long as the block lasts: first it leads through a proxy, then that makes trouble, so that what is under
        way meets it as well."""
        names = {address: f"{asking}-{address.replace(':', '-')}" for address in self.addresses(context)}
        ports = {address: proxies.before(name, int(address.rpartition(":")[2])) for address, name in names.items()}
        self._bend(asking, ports)
        await asyncio.sleep(SETTLES)
        try:
            for name in names.values():  # one, but for several instances
                async with proxies.trouble(name, kind):
                    yield
                break
        finally:
            self._bend(asking, {})
            await asyncio.sleep(SETTLES)
            for name in names.values():
                proxies.remove(name)

    def _bend(self, asking: str, ports: Mapping[str, int]) -> None:
        self._bent[asking] = dict(ports)
        self._write_all()

    def _write_all(self) -> None:
        for process in self._told:
            said = self._known
            for address, port in self._bent.get(process, {}).items():
                said = said.replace(f'"{address}"', f'"{HERE}:{port}"')
            if said != self._told[process]:
                fresh = self._folder / f"{process}.new"
                fresh.write_text(said)
                fresh.replace(self._folder / f"{process}.toml")
                self._told[process] = said
