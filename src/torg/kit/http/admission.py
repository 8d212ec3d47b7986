"""Who is let in while more is asked of a process than it can do.

One loop does all the work, so time is what there is too little of. Two things keep it for those who are under way: only STARTS requests begin in a
turn of the loop, so that turns stay short, and only so many are under way while the loop is at work. Others wait, the more urgent before the less, and
whoever has waited too long is refused, long before a client would have gone away: an answer that comes too late is work for nothing.

How long is too long is CoDel's question (RFC 8289), asked as Facebook does (B. Maurer, Fail at Scale, ACM Queue 13:8, 2015): a queue that was empty
a moment ago absorbs a burst, and may take INTERVAL; one that stands is of no use, and may take TARGET. Ranks are those of "Handling Overload" (Site
Reliability Engineering, chapter 21) and DAGOR (Zhou et al., SoCC 2018), which looks at the wait in the queue too, not at the time of the answer:
that others are slow is no overload of ours."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

TARGET, INTERVAL = 0.1, 0.5  # seconds
AT_CHECKOUT = 2.0  # seconds: a hundred carts at the same moment are no overload, and nobody likes to be sent away with a full one
STARTS = 8  # requests that begin in one turn of the loop
LEAST, MOST = 32, 4096  # requests under way
LOOK = 0.005  # seconds between two looks at those who wait
SHORT = 0.0002  # seconds that a turn takes of a loop with nothing to do: those who are under way wait for others, and more of them are no harm
LENGTH = 64  # requests of a rank that wait in a queue that stands
RETRY_AFTER = 2  # seconds

Tell = Callable[[bool], None]
Soon = Callable[[Callable[[], None]], object]
Receive = Callable[[], Awaitable[Any]]
Later = Callable[[float, Callable[[], None]], object]


class Urgency(IntEnum):
    """Who is served first, and refused last. Nobody of the first rank ever waits: operators have to see what goes on. Those who sign in and those who look
    around take turns, so that a flood of either leaves the others half of what is to be had."""

    ALWAYS = 0
    CHECKOUT = 1
    CART = 2
    SIGN_IN = 3
    BROWSING = 4


RANKS = ((Urgency.CHECKOUT,), (Urgency.CART,), (Urgency.SIGN_IN, Urgency.BROWSING))
"""The queues in the order in which they are served; of those in one rank each in turn."""


class Admission(Collector):
    """The queue before a process's work. `soon` calls in the loop's next turn, `later` after so many seconds."""

    def __init__(self, soon: Soon, later: Later, now: Callable[[], float] = time.monotonic) -> None:
        self._soon, self._later, self._now = soon, later, now
        self._queues = {urgency: deque[tuple[float, Tell]]() for urgency in Urgency}
        self.under_way, self.waiting, self.limit = 0, 0, LEAST
        self.refused = dict.fromkeys(Urgency, 0)
        self._starts, self._turning, self._looking = 0, False, False
        self._looked, self._stands_since = 0.0, math.inf

    @classmethod
    def of_this_loop(cls) -> Admission:
        loop = asyncio.get_running_loop()
        return cls(loop.call_soon, loop.call_later)

    async def admits(self, urgency: Urgency) -> bool:
        """Waits until the request may begin, which has to be told of its `end`; False where it may not."""
        if self.begins(urgency):
            return True
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.queue(urgency, lambda admitted: self._told(turn, admitted))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self.end()
            raise

    def begins(self, urgency: Urgency) -> bool:
        """Whether the request may begin at once."""
        if urgency is not Urgency.ALWAYS:
            if self.waiting or not self._room():
                return False
            self._stands_since = math.inf
        self._begin()
        return True

    def queue(self, urgency: Urgency, tell: Tell) -> None:
        """Lets a request wait; `tell` is called once it may begin, or is refused: at once where others already wait in vain."""
        now, waiting = self._now(), self._queues[urgency]
        self._stands_since = min(self._stands_since, now)
        if len(waiting) >= LENGTH and self._stands(now):
            self._refuse(urgency, tell)
            return
        self.waiting += 1
        waiting.append((now, tell))
        self._turn_soon()
        if not self._looking:
            self._looking = True
            self._later(LOOK, self._look)

    def end(self) -> None:
        """A request that began is answered."""
        self.under_way -= 1
        if self.waiting:
            self._turn_soon()

    def aside(self, receive: Receive) -> Receive:
        """Receives a body for a request that began: while its client has yet to send, it takes nobody's place."""

        async def receiving() -> Any:
            self.end()
            try:
                return await receive()
            finally:
                self.under_way += 1

        return receiving

    def collect(self) -> Iterable[Metric]:
        """For Prometheus."""
        refused = CounterMetricFamily("torg_http_shed", "Requests refused because the process had more to do than it can", labels=("urgency",))
        for urgency, count in self.refused.items():
            refused.add_metric((urgency.name.lower(),), count)
        now = {"under_way": self.under_way, "waiting": self.waiting, "limit": self.limit}
        gauge = GaugeMetricFamily("torg_http_requests", "Requests under way, requests that wait to begin, and how many may be under way", labels=("state",))
        for state, count in now.items():
            gauge.add_metric((state,), count)
        return [refused, gauge]

    def _room(self) -> bool:
        return self._starts < STARTS and self.under_way < self.limit

    def _begin(self) -> None:
        self.under_way += 1
        self._starts += 1
        self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            self._soon(self._turn)

    def _turn(self) -> None:
        """The loop's next turn: others may begin."""
        self._turning, self._starts = False, 0
        if not self.waiting:
            return
        self._give_up(self._now())
        for rank in RANKS:
            self._serve(rank)
        if self.waiting and self.under_way < self.limit:
            self._turn_soon()
        elif not self.waiting and self._room():
            self._stands_since = math.inf  # all of them were served; a queue that was refused is none that has emptied

    def _serve(self, rank: Sequence[Urgency]) -> None:
        waiting = [self._queues[urgency] for urgency in rank if self._queues[urgency]]
        while waiting and self._room():
            queue = waiting.pop(0)
            self.waiting -= 1
            self._begin()
            queue.popleft()[1](True)
            if queue:
                waiting.append(queue)

    def _look(self) -> None:
        self._looked = self._now()
        self._give_up(self._looked)
        self._looking = self.waiting > 0
        if self._looking:
            self._soon(self._weigh)
            self._later(LOOK, self._look)

    def _weigh(self) -> None:
        """A turn after a look: what it took tells whether the loop is at work or waits."""
        idle = self._now() - self._looked < SHORT
        self.limit = min(MOST, self.limit + STARTS) if idle else max(LEAST, self.limit - STARTS)
        self._turn_soon()

    def _give_up(self, now: float) -> None:
        """Refuses those who have waited for too long; what keeps the checkout's wait short is how few may wait in a queue that stands."""
        patience = TARGET if self._stands(now) else INTERVAL
        for urgency, queue in self._queues.items():
            longest = AT_CHECKOUT if urgency is Urgency.CHECKOUT else patience
            while queue and now - queue[0][0] > longest:
                self.waiting -= 1
                self._refuse(urgency, queue.popleft()[1])

    def _refuse(self, urgency: Urgency, tell: Tell) -> None:
        self.refused[urgency] += 1
        tell(False)

    def _stands(self, now: float) -> bool:
        return now - self._stands_since > INTERVAL

    def _told(self, turn: asyncio.Future[bool], admitted: bool) -> None:
        if not turn.done():
            turn.set_result(admitted)
        elif admitted:
            self.end()
