"""The thread that waits for the disk. One serves all SQLite files of a process: a second would only wait for the same disk, and waking a thread costs
more than handing it another commit while it is awake."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

_Work = tuple[Callable[[], None], "asyncio.Future[None]", asyncio.AbstractEventLoop]


class Committer:
    """Runs blocking calls one after the other, off the event loop. The thread starts with the first of them.

    Whoever waits until it is `idle` can go on collecting what to commit until its turn has really come."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread: Thread | None = None

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return self._under_way == 0

    async def rest(self) -> None:
        """Waits until it is idle. Of those who wait one is told at a time, as one commit keeps it busy again: whoever has none to make now says `next`."""
        if self._under_way == 0:
            return
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(told)
        try:
            await told
        except asyncio.CancelledError:
            if told.done() and not told.cancelled():
                self.next()
            raise

    def next(self) -> None:
        """Tells another one that it is idle, if it is."""
        while self._under_way == 0 and self._waiting:
            told = self._waiting.popleft()
            if not told.done():
                told.set_result(None)
                return

    def run(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Done when `work` is; raises what it raised."""
        if self._thread is None:
            self._thread = Thread(target=self._follow, name="commits", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._under_way += 1
        future.add_done_callback(self._done)
        self._queue.put((work, future, loop))
        return future

    def close(self) -> None:
        """Ends the thread after what was asked for before."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _done(self, _: asyncio.Future[None]) -> None:
        self._under_way -= 1
        self.next()

    def _follow(self) -> None:
        while (asked := self._queue.get()) is not None:
            work, future, loop = asked
            error: BaseException | None = None
            try:
                work()
            except Exception as raised:  # noqa: BLE001 handed on to whoever waits
                error = raised
            loop.call_soon_threadsafe(_tell, future, error)


def _tell(future: asyncio.Future[None], error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
