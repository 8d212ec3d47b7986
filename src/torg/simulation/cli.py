"""`torg simulate`: many seeds, or one; and the known bugs, one after the other."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from torg.simulation.plan import Fault, Plan, draw
from torg.simulation.run import Outcome
from torg.simulation.shrink import rule, shrunk
from torg.simulation.site import GROUPS
from torg.simulation.worker import known_bugs
from torg.simulation.workers import Workers, working

Topology = Literal["all", "fleet"]
SHOWN = 8  # violations of a run
GIVEN_UP = 3  # failing seeds after which it is known well enough that something is wrong


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be simulated."""

    topology: Topology
    orders: int
    jobs: int
    story: Path | None = None


def plan_of(seed: int, chosen: Chosen) -> Plan:
    return draw(seed, chosen.topology, chosen.orders, list(GROUPS[chosen.topology]))


def refusal(seeds: range, chosen: Chosen) -> str:
    """What is wrong with what somebody wants, if anything. Nothing simulated is nothing proved, and would end with 0."""
    if not seeds:
        return "no seeds: --seeds is 1 at least"
    if chosen.orders < 1 or chosen.jobs < 1:
        return f"--orders {chosen.orders} --jobs {chosen.jobs}: 1 is the least of each"
    if chosen.story and len(seeds) > 1:
        return "--story is of one run: name it by --seed"
    if chosen.story and not chosen.story.absolute().parent.is_dir():
        return f"--story {chosen.story}: there is no folder {chosen.story.parent}"
    return ""


def simulate(seeds: range, chosen: Chosen, bugs: bool) -> int:
    """Runs them; the status that the command ends with."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="torg-template-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:  # noqa: PTH112
        template = Path(folder) / "shop"
        if bugs:
            return asyncio.run(_all_bugs(console, template, seeds, chosen))
        return asyncio.run(_all_seeds(console, template, seeds, chosen))


# ---------------------------------------------------------------- seeds


async def _all_seeds(console: Console, template: Path, seeds: range, chosen: Chosen) -> int:
    total, failed, began = Total(), list[tuple[Plan, Outcome]](), time.monotonic()
    async with working(template, min(chosen.jobs, len(seeds))) as workers:
        with _progress(console) as progress:
            task = progress.add_task(f"seeds, {chosen.topology}", total=len(seeds))
            async for plan, outcome in workers.all(_plans(seeds, chosen, failed)):
                total.add(outcome)
                progress.advance(task)
                if outcome.violations:
                    failed.append((plan, outcome))
                    _show_violations(console, outcome)
        if len(seeds) == 1:
            await _tell_story(workers, plan_of(seeds[0], chosen), chosen.story)
        for plan, outcome in failed[:1]:
            await _show_shortest(console, workers, plan, outcome, chosen)
    total.show(console, time.monotonic() - began, chosen)
    return 1 if failed else 0


def _plans(seeds: range, chosen: Chosen, failed: list[tuple[Plan, Outcome]]) -> Iterator[Plan]:
    for seed in seeds:
        if len(failed) >= GIVEN_UP:
            return
        yield plan_of(seed, chosen)


async def _tell_story(workers: Workers, plan: Plan, to: Path | None) -> None:
    if to:
        outcome = await workers.run(plan, story=True)
        to.write_text("\n".join(outcome.story) + "\n")  # noqa: ASYNC240 nobody waits


def _show_violations(console: Console, outcome: Outcome) -> None:
    console.print(f"seed {outcome.seed}: {len(outcome.violations)} violations", style="bold red", highlight=False)
    for violation in outcome.violations[:SHOWN]:
        console.print(f"  {violation[:400]}", highlight=False, markup=False)


async def _show_shortest(console: Console, workers: Workers, plan: Plan, outcome: Outcome, chosen: Chosen) -> None:
    console.print(f"looking for the shortest schedule on which seed {plan.seed} still breaks it …", highlight=False)
    shortest, ended = await shrunk(plan, outcome, workers.run)
    console.print(
        f"{len(shortest.faults)} of {len(plan.faults)} faults and {len(shortest.errands)} of {len(plan.errands)} errands are enough:", highlight=False
    )
    for part in (*shortest.errands, *shortest.faults):
        console.print(f"  {msgspec.json.encode(part).decode()}", highlight=False, markup=False)
    for violation in ended.violations[:SHOWN]:
        console.print(f"  → {violation[:400]}", highlight=False, markup=False)
    console.print(f"again: ./torg simulate --seed {plan.seed} --topology {chosen.topology} --orders {chosen.orders}", highlight=False)


class Total:
    """What all runs come to."""

    def __init__(self) -> None:
        self.runs = self.steps = self.violations = self.invariants = 0
        self.seconds = 0.0
        self.counts, self.faults = Counter[str](), Counter[str]()

    def add(self, outcome: Outcome) -> None:
        self.runs += 1
        self.steps += outcome.steps
        self.seconds += outcome.seconds
        self.violations += len(outcome.violations)
        self.invariants += outcome.counts.get("invariants", 0)
        self.counts.update(outcome.counts)
        self.faults.update(outcome.faults)

    def show(self, console: Console, wall: float, chosen: Chosen) -> None:
        orders = self.counts["acknowledged"]
        faults = ", ".join(f"{count} {what}" for what, count in sorted(self.faults.items()))
        for line in (
            f"{self.runs} seeds ({chosen.topology}): {orders} orders, {self.counts['requests']} requests, {self.counts['unanswered']} of them unanswered",
            f"faults: {sum(self.faults.values())} ({faults or 'none'})",
            f"invariants looked at: {self.invariants}; violations: {self.violations}",
            f"{wall:.0f} s, {self.seconds:.0f} s of the processor: {orders / max(self.seconds, 0.01):.0f} orders/s a core, {self.steps} steps",
        ):
            console.print(line, highlight=False)


# ---------------------------------------------------------------- bugs


async def _all_bugs(console: Console, template: Path, seeds: range, chosen: Chosen) -> int:
    """Puts each known bug in, and looks how many seeds it takes to notice."""
    missed, tries, bugs = list[str](), list[int](), known_bugs()
    for name, bug in bugs.items():
        began, found, looked = time.monotonic(), "", 0
        of = msgspec.structs.replace(chosen, topology=bug.topology)
        async with working(template, of.jobs, name) as workers:
            async for _, outcome in workers.all(_until_found(seeds, of, bug.wants, lambda: bool(found))):  # noqa: B023 used up in this round
                looked += 1
                if outcome.violations and not found:
                    found = rule(outcome)
                    tries.append(looked)
        seconds = time.monotonic() - began
        told = f"caught after {tries[-1]} seeds: {found}" if found else f"MISSED in {looked} seeds"
        console.print(f"{name:34} {seconds:5.1f} s  {told}", style=None if found else "bold red", highlight=False, markup=False)
        if not found:
            missed.append(name)
    median = sorted(tries)[len(tries) // 2] if tries else 0
    console.print(f"{len(bugs) - len(missed)} of {len(bugs)} known bugs caught; half of them within {median} seeds", highlight=False)
    return 1 if missed else 0


def _until_found(seeds: range, chosen: Chosen, wants: tuple[Fault, ...], found: object) -> Iterator[Plan]:
    assert callable(found), "asks whether it was found"
    for seed in seeds:
        if found():
            return
        plan = plan_of(seed, chosen)
        yield msgspec.structs.replace(plan, faults=plan.faults + wants)


def _progress(console: Console) -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console, disable=not console.is_terminal)
