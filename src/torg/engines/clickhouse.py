"""ClickHouse as it can be had without Docker: its own engine, current, from the chdb-core wheel, behind a small HTTP server of ours (clickhouse_server.py).

No registry that is reached by name alone ships a current server (Debian's is 18.16, of 2018; what PyPI, npm, Maven and Go have under the name are clients, or
fetch the server from elsewhere). chdb-core is the same source tree built as a library: parser, planner, MergeTree and its merges, formats, settings and errors
are ClickHouse's own, so SQL, figures and what survives a crash can be shown. Of its variants, chdb adds pandas and a query builder that nobody here needs, and
chdb-core-lite (a third of the size) is two releases behind and refuses to start without pyarrow.

What it can't show: replication and Keeper, clusters and distributed tables, the native protocol, users and roles beyond one, quotas, query_log and the other
server-side logs, and how a server shares its memory among many clients (each of ours is a thread)."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines import fetch
from torg.engines.port import EngineRefused, Place, Tell
from torg.kit.secrets import kept_secret
from torg.kit.values import randomness

WHEELS = Path(__file__).with_name("clickhouse.lock")
SERVER = Path(__file__).with_name("clickhouse_server.py")
CANNOT: Final = "ClickHouse can't be installed"
USER, BASE, PASSWORD = "torg", "torg", "password"


class ClickHouse:
    """One server, on this machine only."""

    name = "clickhouse"
    port = 28123
    version = "ClickHouse 26.9.2 (its own engine from chdb-core behind a small HTTP server: no replication, Keeper, native protocol or server logs)"
    image = "clickhouse/clickhouse-server:26.9"

    def install(self, home: Path, tell: Tell) -> None:
        """560 MB, most of it one library."""
        if _installed(home):
            return
        tell("ClickHouse's engine is being installed (180 MB to fetch)")
        fetch.python_packages(home / "wheel", WHEELS, CANNOT, home / "install.log")
        if not _installed(home):
            raise EngineRefused(f"{CANNOT}: its wheel was unpacked, but there is no engine in {home / 'wheel'}.")

    def command(self, place: Place) -> list[str]:
        if not _installed(place.home):
            raise EngineRefused("ClickHouse isn't installed: `torg engines up clickhouse` does it.")
        _password(place)
        options = {"port": str(place.port), "data": str(place.data / "base"), "user": USER, "password-file": str(place.data / PASSWORD)}
        return [sys.executable, "-P", str(SERVER), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {"PYTHONPATH": str(place.home / "wheel")}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        """Asks for a sum."""
        try:
            return "" if _ask(place, "select 1 + 1") == "2" else "it can't add"
        except OSError as error:
            return str(error)

    def prepare(self, place: Place) -> None:
        _ask(place, f"create database if not exists {BASE}")

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_FACTS": f"clickhouse://{USER}:{_password(place)}@127.0.0.1:{place.port}/{BASE}"}


def _installed(home: Path) -> bool:
    return (home / "wheel" / "chdb" / "_chdb.abi3.so").exists()


def _password(place: Place) -> str:
    return kept_secret(place.data / PASSWORD, randomness)


def _ask(place: Place, statement: str) -> str:
    """Raises OSError when it doesn't answer, or says no."""
    asked = http.client.HTTPConnection("127.0.0.1", place.port, timeout=5)
    try:
        asked.request("POST", "/", statement.encode(), {"X-ClickHouse-User": USER, "X-ClickHouse-Key": _password(place)})
        answer = asked.getresponse()
        told = answer.read().decode().strip()
    except http.client.HTTPException as error:
        raise OSError(f"it doesn't speak HTTP as it should: {error!r}") from error
    finally:
        asked.close()
    if answer.status != 200:
        raise OSError(told)
    return told
