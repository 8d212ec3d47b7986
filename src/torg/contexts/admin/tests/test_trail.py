"""The audit trail's chain: lines that were changed, put in, taken out or written anew show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.admin.adapters.trail_sql import SqlTrail
from torg.contexts.admin.contracts import RecordAudit
from torg.contexts.admin.tests.house import MIGRATIONS, REGISTRY
from torg.kit.store import Store
from torg.kit.testing import TestClock, open_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path, "admin", TestClock(), REGISTRY, MIGRATIONS) as opened:
        yield opened


async def fill(store: Store, secret: str = "a secret", lines: int = 5) -> SqlTrail:
    trail = SqlTrail(store, secret)
    for number in range(lines):
        async with store.transaction() as tx:
            await trail.add(
                tx,
                RecordAudit(
                    actor="anna", roles=("admin",), method="PATCH", route="/cups/{id}", path=f"/cups/{number}", object=str(number), status=200,
                    request_id=f"r{number}", after='{"price":5}',
                ),
            )  # fmt: skip
    return trail


async def run(store: Store, *statements: str) -> None:
    async with store.transaction() as tx:
        for statement in statements:
            await tx.execute(statement)


async def test_a_trail_that_nobody_touched_holds(store: Store) -> None:
    trail = await fill(store)
    verdict = await trail.verify("")
    assert (verdict.holds, verdict.entries, verdict.faults, len(verdict.head)) == (True, 5, (), 64)
    await fill(store, lines=2)
    assert (await trail.verify(verdict.head)).holds, "what was the last line is still there"


async def test_an_empty_trail_holds(store: Store) -> None:
    assert (await SqlTrail(store, "a secret").verify("")).holds


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("update audit set actor = 'boris' where number = 2", "line 2 (PATCH /cups/1 by boris"),
        ("update audit set after = '{\"price\":6}' where number = 3", "line 3 "),
        ("update audit set at = '2020-01-01T00:00:00.000000Z' where number = 5", "line 5 "),
        ("delete from audit where number = 3", "line 3 is missing"),
        ("delete from audit where number in (2, 3)", "lines 2 to 3 are missing"),
        ("delete from audit where number >= 4", "lines 4 to 5 are missing"),
        ("update audit set number = 7 where number = 5", "lines 5 to 6 are missing"),
        ("delete from audit", "lines 1 to 5 are missing"),
    ],
)
async def test_what_was_tampered_with_is_named(store: Store, statement: str, fault: str) -> None:
    trail = await fill(store)
    await run(store, statement)
    verdict = await trail.verify("")
    assert not verdict.holds
    assert any(said.startswith(fault) for said in verdict.faults), verdict.faults


async def test_a_chain_that_is_made_again_without_the_secret_shows(store: Store) -> None:
    trail = await fill(store)
    await run(store, "delete from audit where number > 3")
    await fill(store, "guessed", 2)
    assert not (await trail.verify("")).holds


async def test_who_knows_the_secret_and_writes_everything_anew_lacks_the_digest_that_was_kept(store: Store) -> None:
    trail = await fill(store)
    kept = (await trail.verify("")).head
    await run(store, "delete from audit", "delete from log where stream = 'audit trail'")
    again = await fill(store, lines=4)
    assert (await again.verify("")).holds
    assert (await again.verify(kept)).faults == ("no line has the digest that was kept: the trail was written anew",)


async def test_a_new_secret_verifies_what_was_sealed_with_the_old_one(store: Store) -> None:
    await fill(store, "old")
    assert (await (await fill(store, "new,old")).verify("")).entries == 10
    assert (await SqlTrail(store, "new,old").verify("")).holds
    assert not (await SqlTrail(store, "new").verify("")).holds
