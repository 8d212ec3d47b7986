"""Processes of a shop, each started by itself with `torg serve`, as containers are: nobody watches them, and each finds the others by a file."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import aiohttp
import msgspec

from tests.test_up import SMALL
from torg import topology
from torg.kit import values
from torg.kit.ports import free_port
from torg.kit.rpc.key_files import PUBLIC, make_missing
from torg.kit.testing.waiting import until

ROOT = Path(__file__).parents[2]
ENDS = 180  # seconds
STARTS = 240.0  # seconds that all of them may take on a busy machine
SERVICES = (*topology.NAMES, topology.SANDBOX)


class Apart:
    """`settings` is what all of them have in their environment. `tls`: they speak it, each with no private key but its own, a port for those who watch, and
    the gateway with one for people: as compose.yaml has them."""

    def __init__(self, folder: Path, settings: Mapping[str, str], tls: bool = False) -> None:
        self._folder, self._peers = folder, folder / "peers.toml"
        self.ports = {name: free_port() for name in SERVICES}
        self._watched = {name: free_port() for name in SERVICES} if tls else {}
        self._front = free_port() if tls else self.ports[topology.GATEWAY]
        self.identities = folder / "data" / "identities"
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, IO[bytes]] = {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
        self._environment = {
            **kept, **SMALL, "PYTHONPATH": os.pathsep.join(sys.path), "TORG_DATA": str(folder / "data"), "TORG_DISCOVERY": f"file:{self._peers}",
            "TORG_SECRET": "a secret of all of them", "TORG_PUBLIC_URL": self.address, "TORG_FRONT": self.address, "TORG_TLS": str(tls), **settings,
        }  # fmt: skip
        self.find({name: [self.at(name)] for name in SERVICES})

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._front}"

    def at(self, name: str) -> str:
        return f"127.0.0.1:{self.ports[name]}"

    def find(self, addresses: Mapping[str, Iterable[str]], *returning: str) -> None:
        """From now on contexts are found there; those that are `returning` are waited for."""
        fresh = self._peers.with_suffix(".new")
        lines = {name: list(known) for name, known in addresses.items()} | {"returning": list(returning)}
        fresh.write_text("".join(f"{name} = {msgspec.json.encode(known).decode()}\n" for name, known in lines.items()))
        fresh.replace(self._peers)

    def start(self, name: str, *, module: str = "torg", instance: str = "") -> None:
        """`instance` is the name of a second one of it, at a port of its own; `module` another command line than the shop's own."""
        known = instance or name
        self.ports.setdefault(known, free_port())
        own = {"TORG_INSTANCE": known}
        if self._watched:
            own |= {"TORG_MONITOR_PORT": str(self._watched[name]), "TORG_IDENTITIES": str(self._keys_of(name))}
        if self._watched and name == topology.GATEWAY:
            own["TORG_FRONT_PORT"] = str(self._front)
        self._logs[known] = (self._folder / f"{known}.log").open("ab")
        self.running[known] = subprocess.Popen(
            [sys.executable, "-m", module, "serve", name, "--port", str(self.ports[known])], env=self._environment | own,
            stdin=subprocess.DEVNULL, stdout=self._logs[known], stderr=subprocess.STDOUT, cwd=ROOT,
        )  # fmt: skip

    def _keys_of(self, name: str) -> Path:
        """Everybody's public keys, and its own."""
        make_missing(self.identities, topology.SERVICES, values.randomness)
        own = self._folder / "keys" / name
        own.mkdir(parents=True)
        for part in (name, PUBLIC):
            (own / part).symlink_to(self.identities / part)
        return own

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    async def ready(self, browser: aiohttp.ClientSession, name: str) -> tuple[int, Any]:
        """What a process says of itself; status 0 while nobody answers."""
        try:
            async with browser.get(f"http://127.0.0.1:{self._watched.get(name, self.ports[name])}/ready") as reply:
                return reply.status, (await reply.json(content_type=None))["checks"]
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}

    async def fill(self) -> None:
        """With the demonstration, by a process of its own."""
        seeding = await asyncio.create_subprocess_exec(sys.executable, "-m", "torg", "seed", env=self._environment)
        assert await seeding.wait() == 0

    async def until_ready(self, browser: aiohttp.ClientSession, names: Collection[str]) -> None:
        for name in names:

            async def is_ready(name: str = name) -> bool:
                assert self.running[name].poll() is None, f"{name} has ended:\n{self.said(name)}"
                return (await self.ready(browser, name))[0] == 200

            await until(is_ready, f"{name} is ready", STARTS)

    async def end(self, *names: str) -> None:
        """Tells them to, and looks that they end in order: with status 0, and without a traceback ever."""
        for name in names:
            self.running[name].send_signal(signal.SIGTERM)
        for name in names:
            status = await asyncio.to_thread(self.running.pop(name).wait, ENDS)
            self._logs.pop(name).close()
            assert (status, "Traceback" in self.said(name)) == (0, False), f"{name} ended with {status}:\n{self.said(name)}"

    def close(self) -> None:
        """Whatever still runs ends at once."""
        for process in self.running.values():
            process.kill()
            process.wait()
        for log in self._logs.values():
            log.close()
