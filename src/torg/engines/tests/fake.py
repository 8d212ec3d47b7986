"""A server of a few lines that is an engine like any other: it counts its starts in its data folder and answers with the count."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torg.engines.port import Place, Tell

SERVER = """
import os, pathlib, signal, socket, sys, time
port, manner = int(sys.argv[1]), sys.argv[2]
if manner == "dies":
    sys.exit("the disk smells funny")
if manner == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
starts = pathlib.Path("starts")
starts.write_text(str(int(starts.read_text()) + 1 if starts.exists() else 1))
if manner == "mute":
    time.sleep(600)
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        client, _ = server.accept()
        with client:
            client.sendall(starts.read_bytes())
"""


@dataclass
class Fake:
    """`manner`: how the server behaves; `prepared`: how often it was prepared."""

    manner: str = "good"
    name: str = "fake"
    port: int = 20999
    version: str = "Fake 1.0"
    image: str = "fake:1.0"
    installed: int = 0
    prepared: list[Path] = field(default_factory=list)

    def install(self, home: Path, tell: Tell) -> None:
        if not (home / "server.py").exists():
            tell("installing a few lines")
            (home / "server.py").write_text(SERVER)
            self.installed += 1

    def command(self, place: Place) -> list[str]:
        return [sys.executable, str(place.home / "server.py"), str(place.port), self.manner]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        try:
            return "" if starts(place) else "it says nothing"
        except OSError as error:
            return str(error)

    def prepare(self, place: Place) -> None:
        self.prepared.append(place.data)

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_FAKE": f"fake://127.0.0.1:{place.port}"}


def starts(place: Place) -> int:
    """How often the server at this place was started, by its own count."""
    with socket.create_connection(("127.0.0.1", place.port), timeout=5) as connection:
        return int(connection.recv(100) or 0)
