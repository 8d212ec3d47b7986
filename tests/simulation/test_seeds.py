"""The whole shop on made-up time: the same seed is the same run, nothing is wrong in a few of them, and known bugs are noticed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from msgspec.structs import replace

from torg.simulation.cli import Chosen, Topology, plan_of
from torg.simulation.plan import Plan
from torg.simulation.shrink import rule, shrunk
from torg.simulation.workers import Workers, working

pytestmark = [pytest.mark.simulation, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SEEDS = range(1, 9)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulation") / "shop"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers(template: Path) -> AsyncIterator[Workers]:
    async with working(template, 2) as started:
        yield started


def plans(topology: Topology, orders: int = 40) -> list[Plan]:
    return [plan_of(seed, Chosen(topology=topology, orders=orders, jobs=2)) for seed in SEEDS]


@pytest.mark.parametrize("topology", ["all", "fleet"])
async def test_nothing_is_wrong_in_a_few_seeds(workers: Workers, topology: Topology):
    orders = 0
    async for plan, outcome in workers.all(plans(topology)):
        assert not outcome.violations, (plan.seed, outcome.violations)
        orders += outcome.counts["acknowledged"]
    assert orders > 10 * len(SEEDS)


@pytest.mark.parametrize("topology", ["all", "fleet"])
async def test_a_seed_is_the_same_run_in_every_process(template: Path, topology: Topology):
    plan = next(plan for plan in plans(topology) if plan.faults)
    digests = []
    for _ in range(2):
        async with working(template, 1) as alone:
            outcome = await alone.run(plan, story=True)
            digests.append((outcome.digest, outcome.steps))
            assert outcome.story
    assert digests[0] == digests[1]


async def test_another_seed_is_another_run(workers: Workers):
    outcomes = [outcome async for _, outcome in workers.all(plans("all")[:2])]
    assert outcomes[0].digest != outcomes[1].digest


@pytest.mark.parametrize("bug", ["charge_the_list_price", "no_refund_of_cancelled_orders", "show_orders_to_anybody"])
async def test_a_bug_is_noticed(template: Path, bug: str):
    async with working(template, 2, bug) as infected:
        found = [rule(outcome) async for _, outcome in infected.all(plans("all")[:4]) if outcome.violations]
    assert found


async def test_the_shortest_schedule_still_breaks_the_same_rule(template: Path):
    async with working(template, 1, "charge_the_list_price") as infected:
        (plan,) = [replace(plan, errands=plan.errands[:12]) for plan in plans("all")[:1]]
        outcome = await infected.run(plan)
        shortest, ended = await shrunk(plan, outcome, infected.run)
    assert rule(ended) == rule(outcome)
    assert not shortest.faults
    assert len(shortest.errands) == 1
