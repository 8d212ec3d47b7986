"""Makes a failing plan smaller: whatever it fails without is left out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from torg.simulation.plan import Plan
from torg.simulation.run import Outcome

T = TypeVar("T")
MOST_RUNS = 120
Try = Callable[[Plan], Awaitable[Outcome]]


async def shrunk(plan: Plan, outcome: Outcome, try_: Try) -> tuple[Plan, Outcome]:
    """The smallest plan found that breaks the same rule, with what came of it."""
    return await _Shrinking(plan, outcome, try_).done()


class _Shrinking:
    def __init__(self, plan: Plan, outcome: Outcome, try_: Try) -> None:
        self._plan, self._outcome, self._try, self._runs = plan, outcome, try_, 0
        self._rule = rule(outcome)

    async def done(self) -> tuple[Plan, Outcome]:
        before = -1
        while before != (before := len(self._plan.faults) + len(self._plan.errands)) and self._runs < MOST_RUNS:
            await self._leave_out(self._plan.faults, lambda plan, faults: replace(plan, faults=faults))
            await self._leave_out(self._plan.errands, lambda plan, errands: replace(plan, errands=errands))
            if before == len(self._plan.faults) + len(self._plan.errands):
                break
        return self._plan, self._outcome

    async def _leave_out(self, parts: tuple[T, ...], with_: Callable[[Plan, tuple[T, ...]], Plan]) -> None:
        """Tries without halves, then quarters, and so on (Zeller's delta debugging, simplified)."""
        size = max(len(parts) // 2, 1)
        while parts and self._runs < MOST_RUNS:
            at = 0
            while at < len(parts) and self._runs < MOST_RUNS:
                fewer = parts[:at] + parts[at + size :]
                if await self._fails(with_(self._plan, fewer)):
                    parts = fewer
                else:
                    at += size
            if size == 1:
                return
            size //= 2

    async def _fails(self, plan: Plan) -> bool:
        self._runs += 1
        outcome = await self._try(plan)
        if self._rule not in _rules(outcome.violations):
            return False
        self._plan, self._outcome = plan, outcome
        return True


def rule(outcome: Outcome) -> str:
    """What the first violation is about, without its names and numbers."""
    return _rules(outcome.violations)[0]


def _rules(violations: Sequence[str]) -> list[str]:
    return [" ".join(word for word in violation.split() if not any(letter.isdigit() for letter in word))[:60] for violation in violations]
