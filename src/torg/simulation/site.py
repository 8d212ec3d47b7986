"""The shop as it is simulated: its processes with their folders, addresses and disks, and the acquirer's, which belongs to somebody else."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

from torg import background, compose, topology
from torg.acquirer.app import Acquirer, open_acquirer
from torg.acquirer.beside import PREFIX
from torg.fleet import wiring
from torg.kit.calls import Handle
from torg.kit.messages import Message, Registry
from torg.kit.module import Module
from torg.kit.rpc.fleet import Fleet
from torg.kit.rpc.identity import KeyPair, StaticKeys
from torg.kit.rpc.peers import NOWHERE, Instances
from torg.kit.rpc.serving import Serving
from torg.kit.settings import Settings
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.tasks import Supervisor
from torg.kit.values import Clock, NewId
from torg.simulation.disk import SimulatedDisk
from torg.simulation.loop import SimulatedLoop
from torg.simulation.plan import CARRIED, CURRENCY
from torg.simulation.processes import Process

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXTS: Final = topology.CONTEXTS
ACQUIRER, GATEWAY = "acquirer", topology.GATEWAY
PORT, SECRET = 8000, "a secret of the simulation"

GROUPS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "all": {"shop": CONTEXTS},
    "fleet": {GATEWAY: (GATEWAY,), **{context: (context,) for context in CONTEXTS}},
}
"""Which contexts run together, by process."""


@cache
def _pairs() -> Mapping[str, KeyPair]:
    return {name: KeyPair(name.encode().ljust(32, b".")) for name in topology.SERVICES}


@dataclass
class Machine:
    """One process of the shop, through all of its lives."""

    name: str
    contexts: tuple[str, ...]
    address: str
    life: int = 0
    process: Process | None = None
    disk: SimulatedDisk | None = None
    databases: Sequence[SqliteDatabase] = ()
    app: compose.Running | None = None

    @property
    def up(self) -> bool:
        return self.app is not None


class Site:
    """Opens the shop on a folder, and keeps it open: whoever dies is started again."""

    def __init__(self, loop: SimulatedLoop, seed: str, folder: Path, topology_: str, calls: Literal["local", "loopback"] = "local") -> None:
        self.loop, self.seed, self.folder, self._calls = loop, seed, folder, calls
        groups = GROUPS[topology_]
        self.machines = {name: Machine(name, contexts, f"10.0.0.{number}") for number, (name, contexts) in enumerate(groups.items(), 1)}
        self.bank = Machine(ACQUIRER, (), "10.0.9.1")
        self.acquirer: Acquirer | None = None
        self.alone = topology_ == "all"
        front = next(iter(self.machines.values()))
        self.front = (front.address, PORT)
        self.graveyard: list[object] = []
        self.files: dict[str, Path] = {}
        """Of the contexts' stores, and the acquirer's, once they were opened."""

    @property
    def everybody(self) -> list[Machine]:
        return [*self.machines.values(), self.bank]

    def rows(self, context: str, statement: str) -> list[dict[str, Any]]:
        """What a context keeps, as nobody but itself should see it."""
        for machine in self.everybody:
            for database in machine.databases:
                if database.context == context:
                    return [dict(row) for row in database.connection.execute(statement)]
        raise LookupError(f"{context} runs nowhere just now")

    def clock_of(self, process: Process) -> Clock:
        asked, told = -1.0, START

        def clock() -> datetime:
            nonlocal asked, told
            seconds = self.loop.time() + process.ahead
            if seconds != asked:
                asked, told = seconds, START + timedelta(seconds=seconds)
            return told

        return clock

    async def open(self) -> None:
        await asyncio.gather(*(self.start(machine) for machine in self.everybody))

    async def start(self, machine: Machine) -> None:
        """A new life of a process, from what its folder keeps; done when it is up, or has died before."""
        machine.life += 1
        process = Process(machine.name, machine.address)
        disk = SimulatedDisk(Random(f"{self.seed}/{machine.name}/{machine.life}/disk"))
        machine.process, machine.disk, machine.app = process, disk, None
        run = self._run_acquirer if machine is self.bank else self._run_shop
        starting = self.loop.create_task(run(machine, process, disk), name=f"{machine.name} {machine.life}", context=process.inside())
        died = asyncio.Event()
        process.on_death.append(died.set)
        dying = self.loop.create_task(died.wait())
        await asyncio.wait({starting, dying}, return_when=asyncio.FIRST_COMPLETED)
        dying.cancel()
        if starting.done() and not starting.cancelled() and (error := starting.exception()) and process.state != "dead":
            raise error

    def kill(self, machine: Machine) -> bool:
        """SIGKILL; False where there was nothing to kill."""
        process = machine.process
        if process is None or process.state == "dead":
            return False
        process.kill()
        self.graveyard += [machine.app, process]
        machine.databases, machine.app = (), None
        self._leave_index(machine)
        return True

    async def _run_acquirer(self, machine: Machine, process: Process, disk: SimulatedDisk) -> None:
        world = self._world(machine, process, disk)
        address = f"http://{machine.address}:{PORT}"
        webhooks = f"http://{self.front[0]}:{PORT}/api/v1/payments/webhooks/sandbox"
        faults = self.acquirer.faults if self.acquirer else None
        acquirer = await open_acquirer(self.folder / ACQUIRER, SECRET, address, webhooks, world.clock, world.new_id, "OFF", disk)
        if faults:
            acquirer.faults.now = faults.now
        assert isinstance(acquirer.store.database, SqliteDatabase)
        machine.databases, self.acquirer = (acquirer.store.database,), acquirer
        self._note_files(machine)
        acquirer.start(Supervisor())
        await Serving(acquirer.http, machine.address, PORT).start()

    async def _run_shop(self, machine: Machine, process: Process, disk: SimulatedDisk) -> None:
        world, settings = self._world(machine, process, disk), self._settings(machine)
        fleet = None if self.alone else self._fleet(machine, settings, world)
        app = await compose.compose(settings, machine.contexts, world, fleet)
        machine.databases = [store.database for store in app.stores.values() if isinstance(store.database, SqliteDatabase)]
        self._note_files(machine)
        app.modules[:] = [_poisonable(module, process) for module in app.modules]
        await background.start(app)
        serving = Serving(app.door or app.http, machine.address, PORT) if app.front is None else Serving(app.asgi, machine.address, PORT)
        await serving.start()
        machine.app = app

    def _note_files(self, machine: Machine) -> None:
        self.files.update({database.context: database.path for database in machine.databases})

    def _world(self, machine: Machine, process: Process, disk: SimulatedDisk) -> compose.World:
        dice = Random(f"{self.seed}/{machine.name}/{machine.life}")
        clock = self.clock_of(process)
        return compose.World(clock, ids(clock, dice), dice.randbytes, lambda: disk)

    def _settings(self, machine: Machine) -> Settings:
        return Settings(
            host=machine.address, port=PORT, data=str(self.folder), public_url=f"http://{self.front[0]}:{PORT}", demo=False, staff_factor="never",
            currency=CURRENCY, sync="OFF",
            calls=self._calls, log_level="error", password_memory_kib=8, carrier_seconds=CARRIED, card_payment_minutes=1, acquirer_secret=SECRET, secret=SECRET,
            acquirer_url=f"http://{self.bank.address}:{PORT}{PREFIX}", response_cache=self._calls != "loopback", limits=False,
        )  # fmt: skip

    def _fleet(self, machine: Machine, settings: Settings, world: compose.World) -> Fleet:
        keys = StaticKeys.of(_pairs(), machine.contexts)
        return wiring.join_fleet(machine.contexts[0], machine.contexts, Neighbours(self), settings, keys, all_messages(), world.clock, world.randomness)

    def _leave_index(self, machine: Machine) -> None:
        """The dead process's writer still holds the index's lock, for its memory is ours: the next one gets a copy of the files."""
        index = self.folder / "catalog" / "index"
        if "catalog" in machine.contexts and index.exists():
            left = index.with_name(f"index-{machine.life}")
            index.rename(left)
            shutil.copytree(left, index)


class Poisoned(Exception):
    """What a handler fails with that was given a poisonous message."""


def _poisonable(module: Module, process: Process) -> Module:
    def handled_by(handle: Handle) -> Handle:
        async def taste(message: Message) -> Any:
            if process.poison:
                process.poison -= 1
                raise Poisoned(message.NAME)
            return await handle(message)

        return taste

    tasting = [replace(consumer, handlers={kind: handled_by(handle) for kind, handle in consumer.handlers.items()}) for consumer in module.consumers]
    return replace(module, consumers=tuple(tasting))


class Neighbours:
    """Implements Peers: who is being started again will be back."""

    def __init__(self, site: Site) -> None:
        self._by_context = {context: machine for machine in site.machines.values() for context in machine.contexts}

    async def of(self, context: str) -> Instances:
        machine = self._by_context.get(context)
        if machine is None:
            return NOWHERE
        return Instances((f"{machine.address}:{PORT}",)) if machine.up else Instances((), returning=True)

    async def run(self) -> None:
        """What is known is always true."""

    async def announce(self, contexts: Sequence[str], address: str, asked_at: int) -> None: ...

    async def close(self) -> None: ...


@cache
def all_messages() -> Registry:
    return compose.registry()


def ids(clock: Clock, dice: Random) -> NewId:
    """UUIDv7 (RFC 9562, section 5.7) by a simulated clock."""

    def make() -> str:
        bits = int(clock().timestamp() * 1000) << 80 | 0x7 << 76 | dice.getrandbits(12) << 64 | 0x2 << 62 | dice.getrandbits(62)
        text = f"{bits:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    return make
