"""What `torg up` and `torg serve` do: from settings and a topology to processes that run."""

from __future__ import annotations

import asyncio
import os
import shlex
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import uvloop

from torg import claims, compose, serve, topology
from torg.demo import seed
from torg.fleet import wiring
from torg.fleet.plan import Planned, plan, read_instances
from torg.fleet.supervisor import Supervisor, supervise
from torg.fleet.words import Words
from torg.kit import values
from torg.kit.chain import Chained, within
from torg.kit.listening import CannotStart, handed_over
from torg.kit.rpc.discovery import open_peers
from torg.kit.rpc.fleet import Fleet, until_settled
from torg.kit.rpc.peers import Peers
from torg.kit.settings import BadSettings, Settings

FAILURES = serve.FAILURES
ENGINES = ("db", "db_replica", "bus", "redis", "documents", "index", "facts")
SEEDED = 600.0  # seconds that a part of the demonstration may take
AWAITED = 120.0  # seconds within which all processes of a fleet must answer


def with_engines(settings: Settings, chosen: str | None) -> Settings:
    """The settings with the engines that are chosen: `server`, those that are named, else those that run on the data folder; `embedded`, none.
    Raises BadSettings."""
    if chosen == "embedded":
        return msgspec.structs.replace(settings, **dict.fromkeys(ENGINES, ""), databases={}, replicas={})
    if chosen == "server" and not settings.db:
        settings = msgspec.structs.replace(settings, **running_engines(Path(settings.data)))
        if not settings.db:
            raise BadSettings(
                "--engines server: no setting names a database (TORG_DB), and none runs on this data folder: ./torg engines up starts all engines, "
                "./torg engines up postgres just that one"
            )
    return settings


def running_engines(data: Path) -> dict[str, str]:
    """What `torg engines` has written down of the engines that it runs on a data folder, by setting."""
    try:
        lines = shlex.split((data / "engines" / "env").read_text())
    except OSError:
        return {}
    named = (line.partition("=")[::2] for line in lines)
    return {setting: url for name, url in named if (setting := name.removeprefix("TORG_").lower()) in ENGINES}


def engines_environment(settings: Settings) -> dict[str, str]:
    """Has processes that are started use these engines and no others, whatever the environment that they inherit names."""
    own = {f"TORG_{context.upper()}_DB": settings.databases.get(context, "") for context in topology.CONTEXTS}
    followed = topology.CONTEXTS if not settings.db_replica else settings.replicas  # one that has none of its own has everybody's
    replicas = {f"TORG_{context.upper()}_DB_REPLICA": settings.replicas.get(context, "") for context in followed}
    return {f"TORG_{name.upper()}": getattr(settings, name) for name in ENGINES} | own | replicas


def up(settings: Settings, instances: str) -> None:
    """Runs the shop until it is told to end. Raises one of FAILURES."""
    chosen = topology.read(settings.topology)
    counted = read_instances(instances, chosen)
    if front := handed_over(os.environ):
        host, port = front.getsockname()[:2]
        settings = msgspec.structs.replace(settings, host=host, port=port)
    if chosen.alone and set(counted.values()) == {1}:
        _alone(settings, front)
    else:
        settings = msgspec.structs.replace(settings, data=str(Path(settings.data).absolute()))
        uvloop.run(_together(settings, plan(chosen, counted, settings), front))


def fill(settings: Settings) -> None:
    """Brings the demonstration into a shop whose processes somebody else started, once they all answer. Raises one of FAILURES."""
    uvloop.run(_fill_from_outside(settings))


def _alone(settings: Settings, front: socket.socket | None) -> None:
    async def prepare(running: compose.Running) -> None:
        if settings.demo:
            await seed.seed(running.call, settings, running.settle)

    serve.run(settings, prepare, lambda _, address: _welcome(settings, address), front)


async def _together(settings: Settings, planned: Sequence[Planned], handed: socket.socket | None) -> None:
    data, address = Path(settings.data), f"http://{settings.host}:{settings.port}"
    peers = data / "fleet" / "peers.toml"
    settings = msgspec.structs.replace(settings, public_url=settings.public_url or address)
    environment = {
        "TORG_DATA": str(data), "TORG_HOST": "127.0.0.1", "TORG_PUBLIC_URL": settings.public_url, "TORG_FRONT": compose.inside(settings),
        "TORG_DISCOVERY": f"file:{peers}", **engines_environment(settings),
    }  # fmt: skip
    told = {"TORG_DISCOVERY": settings.discovery, "TORG_CLOCK": settings.clock}
    words = Words([process.name for process in planned], sys.stdout, os.environ)
    keys = wiring.own_keys(settings, topology.SERVICES, values.randomness)
    with claims.own_folder(data, data / "fleet"), handed or claims.free_port(settings.host, settings.port) as front:
        own, tls = environment | {name: value for name, value in told.items() if value}, wiring.own_tls(settings, (wiring.OPERATOR,), keys)
        supervisor = Supervisor(planned, own, peers, front, words, settings.start_within, tls)
        await supervise(supervisor, lambda: _fill_beside(settings, environment), lambda: _welcome(settings, address))


async def _fill_beside(settings: Settings, environment: Mapping[str, str]) -> None:
    """In a process of its own: what the demonstration takes need not stay with whoever watches the others. Raises CannotStart."""
    if not settings.demo or seed.is_complete(settings):
        return
    filling = await asyncio.create_subprocess_exec(sys.executable, "-m", "torg", "seed", env={**os.environ, **environment}, start_new_session=True)
    try:
        if await filling.wait():
            raise CannotStart("the shop could not be filled with its demonstration: what stands above says why; --empty opens it without")
    finally:
        if filling.returncode is None:
            filling.terminate()
            await filling.wait()


async def _fill_from_outside(settings: Settings) -> None:
    async with operating(settings, open_peers(settings.discovery)) as fleet:
        await _until_all_answer(fleet)
        await _fill(settings, fleet)


@asynccontextmanager
async def operating(settings: Settings, peers: Peers) -> AsyncIterator[Fleet]:
    """A fleet's processes, as the command line asks them."""
    world = compose.World()
    keys = wiring.own_keys(settings, (wiring.OPERATOR,), world.randomness)
    fleet = wiring.join_fleet(wiring.OPERATOR, (), peers, settings, keys, compose.registry(), values.utc_now, world.randomness)
    looking = asyncio.gather(peers.run(), keys.run())
    try:
        yield fleet
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await fleet.close()


async def _until_all_answer(fleet: Fleet) -> None:
    deadline = time.monotonic() + AWAITED
    while faults := {context: fault for context in fleet.contexts if (fault := await fleet.fault(context))}:
        if time.monotonic() > deadline:
            raise CannotStart("; ".join(f"{context}: {fault}" for context, fault in faults.items()) + ". TORG_DISCOVERY says where they are sought")
        await asyncio.sleep(0.5)


async def _fill(settings: Settings, fleet: Fleet) -> None:
    """Brings the demonstration in, through the contexts' own messages."""
    if settings.demo:
        with within(SEEDED):
            await seed.seed(Chained(fleet.remote, wiring.OPERATOR, edge=True), settings, lambda: until_settled(fleet.desks(wiring.OPERATOR)))


def _welcome(settings: Settings, address: str) -> None:
    print(f"Torg is ready at {address}", flush=True)  # noqa: T201 the command line's own voice
    for line in seed.welcome(settings, address):
        print(line, flush=True)  # noqa: T201
