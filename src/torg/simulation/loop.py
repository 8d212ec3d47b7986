"""An event loop on made-up time. Which of the tasks that could go on does so is drawn from a seed: the same seed gives the same run, whatever the machine."""

from __future__ import annotations

import asyncio
import heapq
import time
from asyncio import AbstractEventLoop, Task, format_helpers
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from torg.simulation.processes import Died, running_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torg.simulation.network import Network

T = TypeVar("T")
STEP: Final = 20e-6  # seconds that a step of a task takes
THREAD: Final = 0.002  # seconds that what is done in a thread takes at most
MANY: Final = 1000  # tasks that are kept though they may have ended
MOST_STEPS: Final = 1_000_000  # where nobody says how many are likely


class Endless(RuntimeError):
    """The run does not come to its end: everybody waits for ever, or somebody goes round in circles."""


class Soon(asyncio.Handle):
    """A handle that is made in half the time, as nobody debugs this loop."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., object], args: Sequence[Any], loop: AbstractEventLoop, context: Context) -> None:
        self._callback, self._args, self._loop, self._context, self._cancelled = callback, args, loop, context, False


class SimulatedLoop(asyncio.BaseEventLoop):
    """Callbacks keep their order, as asyncio promises; among tasks that can go on the next one is drawn. Time passes by what steps take, and jumps to the
    next timer when nobody has anything to do."""

    _ready: deque[Any]
    _stopping: bool
    get_debug = bool  # asked for each future that is made: never

    def __init__(self, random: Random, now: float = 0.0, most_steps: int = MOST_STEPS) -> None:
        super().__init__()
        self.network: Network
        self.steps, self._most_steps = 0, most_steps
        self.defects: list[str] = []
        self._random, self._now = random, now
        self._tasks_ready: list[Any] = []
        self._timers: list[tuple[float, int, Any]] = []
        self._timed = 0
        self._all_tasks: list[Task[Any]] = []
        self._many_tasks = MANY
        self.set_task_factory(cast("Any", self._make_task))

    def time(self) -> float:
        return self._now

    # ---------------------------------------------------------------- the scheduler

    def _run_once(self) -> None:
        """Until somebody stops the loop."""
        ready, tasks, timers, draw = self._ready, self._tasks_ready, self._timers, self._random.random
        while not self._stopping:
            if timers and timers[0][0] <= self._now:
                self._due()
            while ready:
                self._run(ready.popleft())
            if not tasks:
                self._jump()
                continue
            chosen = int(draw() * len(tasks)) if len(tasks) > 1 else 0
            tasks[chosen], tasks[-1] = tasks[-1], tasks[chosen]
            self._now += STEP
            self.steps += 1
            if self.steps > self._most_steps:
                raise Endless(f"{self._most_steps} steps, and no end")
            self._run(tasks.pop())

    def _run(self, handle: Any) -> None:
        """Unless its process stands still, or lives no more."""
        if handle._cancelled:
            return
        process = handle._context.get(running_in)
        if process is None or process.state == "running":
            try:
                handle._context.run(handle._callback, *handle._args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 told of, as asyncio does
                what = format_helpers._format_callback_source(handle._callback, handle._args)
                self.call_exception_handler({"message": f"Exception in callback {what}", "exception": error, "handle": handle})
        else:
            (process.held if process.state == "paused" else process.lost).append(handle)

    def again(self, handles: Iterable[asyncio.Handle]) -> None:
        """What was held back goes on."""
        for handle in handles:
            self._file(handle)

    def _file(self, handle: Any) -> None:
        (self._tasks_ready if isinstance(getattr(handle._callback, "__self__", None), Task) else self._ready).append(handle)

    def _due(self) -> None:
        """Timers whose time has come."""
        timers = self._timers
        while timers and (timers[0][0] <= self._now or timers[0][2]._cancelled):
            timer = heapq.heappop(timers)[2]
            if not timer._cancelled:
                self._ready.append(timer)

    def _jump(self) -> None:
        if self._stopping:
            return
        self._due()
        if self._ready:
            return
        if not self._timers:
            raise Endless("everybody waits, and nothing will ever happen again")
        self._now = max(self._now, self._timers[0][0])

    # ---------------------------------------------------------------- what a loop is asked for

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        handle = Soon(callback, args, self, copy_context() if context is None else context)
        self._file(handle)
        return handle

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:  # type: ignore[override]
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timed += 1
        heapq.heappush(self._timers, (when, self._timed, timer))
        return timer

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """There are no threads: what one would do happens at once, a drawn moment later."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                done = func(*args)
            except Exception as error:  # noqa: BLE001 handed on to whoever waits
                future.set_exception(error)
            else:
                future.set_result(done)

        self.call_later(self._random.random() * THREAD, work)
        return future

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, *, sock: Any = None, **_: Any) -> Any:
        return await self.network.connection(protocol_factory, (host, port), sock)

    async def create_server(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        return self.network.listen(protocol_factory, (host, port))

    async def sock_connect(self, sock: Any, address: Any) -> None:
        await self.network.connect_socket(sock, address[:2])

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught: a defect, unless it was a death, or the run is over."""
        if not self.is_closed() and not isinstance(context.get("exception"), Died):
            self.defects.append(f"{context['message']}: {context.get('exception')!r}")

    def _process_events(self, event_list: Any) -> None: ...

    def _write_to_self(self) -> None: ...

    # ---------------------------------------------------------------- ending

    def _make_task(self, loop: AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], context: Context | None = None, **more: Any) -> Task[Any]:
        task = Task(coroutine, loop=loop, context=context, **more)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._all_tasks.append(task)
        if len(self._all_tasks) > self._many_tasks:
            self._all_tasks = [one for one in self._all_tasks if not one.done()]
            self._many_tasks = 2 * len(self._all_tasks) + MANY
        return task

    def throw_away(self) -> None:
        """Ends the loop with everything on it where it is. Nothing of it goes on: only its memory is given back."""
        self.close()
        for task in self._all_tasks:
            with suppress(Exception):  # its last words are about a loop and files that are closed
                cast("Coroutine[Any, Any, Any]", task.get_coro()).close()


@contextmanager
def made_up_time(loop: SimulatedLoop) -> Iterator[None]:
    """time.monotonic and time.perf_counter tell the loop's time. For a process that does nothing but simulate."""
    real = time.monotonic, time.perf_counter
    time.monotonic = time.perf_counter = loop.time
    try:
        yield
    finally:
        time.monotonic, time.perf_counter = real
