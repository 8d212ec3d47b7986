"""What goes wrong in a run, as its plan says, and its undoing."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from torg.acquirer.faults import Faults
from torg.simulation.disk import FAILING, FULL, HEALTHY
from torg.simulation.network import OUTSIDE, Network
from torg.simulation.plan import Fault, What
from torg.simulation.site import Machine, Site

COMES_BY = 5.0  # seconds within which a process comes by a failpoint, or never does
Work = Callable[[Fault, Machine], Awaitable[None]]


class Nemesis:
    """Brings a plan's faults about. `struck` counts those that met somebody; `look` is called after each death."""

    def __init__(self, site: Site, network: Network, told: Callable[[str], None], look: Callable[[], None]) -> None:
        self._site, self._network, self._told, self._look = site, network, told, look
        self.struck: Counter[str] = Counter()
        self._works: Final[Mapping[What, Work]] = {
            "kill": self._kill, "kill_at_failpoint": self._kill_at_failpoint, "kill_as_it_starts": self._kill_as_it_starts,
            "forget_positions": self._forget,
            "pause": self._pause, "cut": self._cut, "cut_one_way": self._cut_one_way, "slow": self._slow, "reset": self._reset,
            "disk_full": self._disk, "disk_fails": self._disk, "disk_slow": self._disk, "clock": self._clock, "poison": self._poison,
            "acquirer": self._acquirer,
        }  # fmt: skip

    async def strike(self, faults: tuple[Fault, ...], began: float) -> None:
        """All of them, each in its time; done when the last is over."""
        await asyncio.gather(*(self._strike(fault, began) for fault in faults))

    async def _strike(self, fault: Fault, began: float) -> None:
        await asyncio.sleep(max(0.0, began + fault.at - asyncio.get_running_loop().time()))
        machine = self._site.bank if fault.where == "acquirer" else self._site.machines[fault.where]
        if not machine.databases and fault.what not in ("cut", "cut_one_way", "slow", "reset", "acquirer", "pause", "kill"):
            return
        self.struck[fault.what] += 1
        self._told(f"{fault.what} {fault.where} {fault.other} {fault.seconds} {fault.amount} {fault.settings}")
        await self._works[fault.what](fault, machine)

    async def end(self) -> None:
        """Everything is mended, and whoever is down starts again."""
        self._network.heal()
        for machine in self._site.everybody:
            if machine.disk:
                self._mend(machine)
            if machine.process:
                machine.process.resume(self._site.loop.again)
                machine.process.poison = 0
                machine.process.traps.clear()
        if self._site.acquirer:
            self._site.acquirer.faults.now = Faults()

    # ---------------------------------------------------------------- processes

    async def _kill(self, fault: Fault, machine: Machine) -> None:
        if self._site.kill(machine):
            await self._come_back(fault, machine, "died")

    async def _come_back(self, fault: Fault, machine: Machine, how: str) -> None:
        self._told(f"{machine.name} {how}")
        self._look()
        await asyncio.sleep(fault.seconds)
        await self._site.start(machine)

    async def _kill_as_it_starts(self, fault: Fault, machine: Machine) -> None:
        """Dies, and again when it is only just coming back."""
        if self._site.kill(machine):
            self._told(f"{machine.name} died")
            starting = asyncio.create_task(self._site.start(machine))
            await asyncio.sleep(fault.amount)
            await self._kill(fault, machine)
            await starting

    async def _kill_at_failpoint(self, fault: Fault, machine: Machine) -> None:
        process, died = machine.process, asyncio.Event()
        assert process is not None, "it runs"

        def strike() -> None:
            self._site.kill(machine)
            died.set()

        process.traps[fault.failpoint] = strike
        try:
            async with asyncio.timeout(COMES_BY):
                await died.wait()
        except TimeoutError:
            process.traps.pop(fault.failpoint, None)
            self.struck[fault.what] -= 1
            return
        await self._come_back(fault, machine, f"died at the failpoint {fault.failpoint}")

    async def _forget(self, fault: Fault, machine: Machine) -> None:
        files = [database.path for database in machine.databases]
        if not self._site.kill(machine):
            return
        for file in files:
            with sqlite3.connect(file) as opened:
                opened.execute("delete from consumer_position")
            opened.close()
        await self._come_back(fault, machine, "died, and forgot its positions")

    async def _pause(self, fault: Fault, machine: Machine) -> None:
        process = machine.process
        if process:
            process.pause()
            await asyncio.sleep(fault.seconds * 4)
            process.resume(self._site.loop.again)

    # ---------------------------------------------------------------- network

    async def _cut(self, fault: Fault, machine: Machine) -> None:
        here, there = machine.address, self._address(fault.other)
        self._network.cut(here, there, fault.seconds)
        self._network.cut(there, here, fault.seconds)

    async def _cut_one_way(self, fault: Fault, machine: Machine) -> None:
        self._network.cut(machine.address, self._address(fault.other), fault.seconds)

    async def _slow(self, fault: Fault, machine: Machine) -> None:
        self._network.slow[machine.address] = fault.amount
        await asyncio.sleep(fault.seconds)
        self._network.slow.pop(machine.address, None)

    async def _reset(self, fault: Fault, machine: Machine) -> None:
        self._network.reset(fault.amount)

    def _address(self, name: str) -> str:
        if name == "acquirer":
            return self._site.bank.address
        return self._site.machines[name].address if name in self._site.machines else OUTSIDE

    # ---------------------------------------------------------------- disks, clocks, the acquirer

    async def _disk(self, fault: Fault, machine: Machine) -> None:
        disk = machine.disk
        assert disk is not None, "it runs"
        if fault.what == "disk_slow":
            disk.slow = fault.amount / 5
        else:
            disk.fault = FULL if fault.what == "disk_full" else FAILING
        await asyncio.sleep(fault.seconds)
        disk.fault, disk.slow = HEALTHY, 1.0

    def _mend(self, machine: Machine) -> None:
        assert machine.disk is not None, "only who has one"
        machine.disk.fault, machine.disk.slow = HEALTHY, 1.0

    async def _clock(self, fault: Fault, machine: Machine) -> None:
        process = machine.process
        if process:
            process.ahead += fault.amount
            await asyncio.sleep(fault.seconds)
            process.ahead -= fault.amount

    async def _poison(self, fault: Fault, machine: Machine) -> None:
        if machine.process:
            machine.process.poison += int(fault.amount)

    async def _acquirer(self, fault: Fault, machine: Machine) -> None:
        if self._site.acquirer:
            self._site.acquirer.faults.now = Faults(**fault.settings)  # type: ignore[arg-type]
