"""What a process is told while it runs: signals, and a line on its standard input."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable


async def unless(stopping: asyncio.Event, work: Awaitable[None]) -> None:
    """Does the work, or leaves it where it is when a signal comes."""
    task, signalled = asyncio.ensure_future(work), asyncio.ensure_future(stopping.wait())
    await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return
    signalled.cancel()
    await task


async def first(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def on_signals() -> asyncio.Event:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    return stopping


def told_on_input(stopping: asyncio.Event) -> asyncio.Event:
    """Set by the first line on standard input: the front may open. Its end means that nobody watches any more: then this process ends too."""
    told, loop = asyncio.Event(), asyncio.get_running_loop()

    def hear() -> None:
        if os.read(0, 1 << 10):
            told.set()
        else:
            loop.remove_reader(0)
            stopping.set()

    loop.add_reader(0, hear)
    return told
