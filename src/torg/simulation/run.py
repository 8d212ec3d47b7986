"""One run: a plan is carried out, and what came of it judged."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import random
import resource
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import msgspec

from torg.simulation.client import Browser
from torg.simulation.judge import Judge
from torg.simulation.loop import Endless, SimulatedLoop, made_up_time
from torg.simulation.nemesis import Nemesis
from torg.simulation.network import Network
from torg.simulation.people import Clerk, Person
from torg.simulation.plan import STAFF, Errand, Plan
from torg.simulation.processes import noted_files
from torg.simulation.site import Site
from torg.simulation.template import PREPARED, accounts, products
from torg.simulation.watch import Watch

STEPS_OF_AN_ERRAND = 1000  # a third of that is usual
PEOPLE_END_WITHIN = 400.0  # seconds after the last fault


@dataclass
class Outcome:
    """What came of a run. `violations` is empty where all was well; `digest` is of everything that happened; `seconds` are of the processor."""

    seed: int
    violations: list[str]
    counts: dict[str, int]
    faults: dict[str, int]
    steps: int
    seconds: float
    digest: str
    story: list[str] = field(default_factory=list)


def run(plan: Plan, template: Path, story: bool = False) -> Outcome:
    """Carries a plan out on a copy of the prepared shop. `story` has it written down line by line."""
    began = resource.getrusage(resource.RUSAGE_SELF)
    random.seed(f"{plan.seed}/chance")
    folder = Path(tempfile.mkdtemp(prefix="torg-simulation-", dir=_memory()))
    shutil.copytree(template, folder, dirs_exist_ok=True)
    loop = SimulatedLoop(Random(f"{plan.seed}/schedule"), PREPARED, STEPS_OF_AN_ERRAND * (len(plan.errands) + 50))
    loop.network = Network(loop, Random(f"{plan.seed}/network"))
    one = _Run(plan, loop, folder)
    gc.disable()
    try:
        with made_up_time(loop), noted_files():
            violations = one.carry_out()
    finally:
        one.throw_away()
        gc.enable()
        shutil.rmtree(folder)
    ended = resource.getrusage(resource.RUSAGE_SELF)
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return Outcome(plan.seed, violations, dict(one.counts), dict(one.faults), loop.steps, seconds, one.digest.hexdigest(), one.story if story else [])


class _Run:
    def __init__(self, plan: Plan, loop: SimulatedLoop, folder: Path) -> None:
        self._plan, self._loop = plan, loop
        self.site = Site(loop, str(plan.seed), folder, plan.topology, "loopback" if plan.loopback else "local")
        self.digest, self.story = hashlib.blake2b(digest_size=12), list[str]()
        self.counts, self.faults = Counter[str](), Counter[str]()
        self._defects: list[str] = []
        known, goods = accounts(folder), products()

        def browser() -> Browser:
            return Browser(self.site.front, self._defects)

        self._people = [Person(number, account, browser(), goods, self._now) for number, account in enumerate(known[:-2])]
        self._clerk = Clerk(len(known) - 2, known[-2], browser(), goods, self._now)
        self._admin = Person(len(known) - 1, known[-1], browser(), goods, self._now)
        self._watch = Watch(self.site, self._people)
        self._judge = Judge(self.site, self._people, self._clerk, self._admin, goods)

    def carry_out(self) -> list[str]:
        try:
            found = self._loop.run_until_complete(self._all())
        except Endless as error:
            found = [f"ENDLESS: {error}"]
        except Exception as error:  # noqa: BLE001 what nobody thought of is a finding as well
            found = [f"BROKEN: {type(error).__name__}: {error}"]
        found = [*dict.fromkeys(self._watch.found), *found, *self._defects, *self._loop.defects]
        self._tell(f"{self._loop.steps} steps, {self._loop.network.carried} packets, {found}")
        self.counts += self._judge.counts
        self.counts["looks"] = self._watch.looks
        self.counts["requests"] = sum(person.browser.asked for person in (*self._people, self._clerk, self._admin))
        self.counts["unanswered"] = sum(person.browser.unanswered for person in (*self._people, self._clerk, self._admin))
        return found

    async def _all(self) -> list[str]:
        await self.site.open()
        self._began = self._loop.time()
        watching = asyncio.create_task(self._watch.run())
        nemesis = Nemesis(self.site, self._loop.network, self._tell, self._watch.look)
        living = [asyncio.create_task(person.live(self._errands_of(person))) for person in (*self._people, self._clerk)]
        await nemesis.strike(self._plan.faults, self._began)
        await nemesis.end()
        self.faults = nemesis.struck
        _, waiting = await asyncio.wait(living, timeout=PEOPLE_END_WITHIN)
        if waiting:
            return [f"{len(waiting)} people still wait for an answer {PEOPLE_END_WITHIN:.0f} s after the last fault"]
        for task in living:
            await task
        self._watch.look()
        watching.cancel()
        found = await self._judge.verdict()
        self._remember_all()
        return found

    def _now(self) -> float:
        return self._loop.time() - self._began

    def _errands_of(self, person: Person) -> list[Errand]:
        if person is self._clerk:
            return [errand for errand in self._plan.errands if errand.kind in STAFF]
        return [errand for errand in self._plan.errands if errand.kind not in STAFF and errand.person == person.number]

    def _tell(self, what: str) -> None:
        line = f"{self._loop.time() - PREPARED:.6f} {what}"
        self.digest.update(line.encode())
        self.story.append(line)

    def _remember_all(self) -> None:
        """All logs, and what people were told."""
        for machine in self.site.everybody:
            for database in machine.databases:
                for row in database.connection.execute("select position, stream, version, name, at, data from log order by position"):
                    self._tell(f"{database.context} {' '.join(map(str, row))}")
        for person in self._people:
            self._tell(msgspec.json.encode(person.memory.promises).decode())

    def throw_away(self) -> None:
        for machine in self.site.everybody:
            if machine.process:
                machine.process.kill()
        self._loop.throw_away()


def _memory() -> str | None:
    """Where files are kept in memory, if anywhere."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
