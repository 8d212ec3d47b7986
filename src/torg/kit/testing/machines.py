"""State machines (Hypothesis) whose steps await."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import TypeVar

from hypothesis.stateful import RuleBasedStateMachine

T = TypeVar("T")


class AsyncMachine(RuleBasedStateMachine):
    """Lives on a loop of its own, with a folder that goes when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self._runner, self._stack = asyncio.Runner(), AsyncExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    def run(self, work: Awaitable[T]) -> T:
        """What the work gives, once it is done."""

        async def wait() -> T:
            return await work

        return self._runner.run(wait())

    def open(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enters it until the machine ends."""
        return self.run(self._stack.enter_async_context(context))

    def teardown(self) -> None:
        self.run(self._stack.aclose())
        self._runner.close()
