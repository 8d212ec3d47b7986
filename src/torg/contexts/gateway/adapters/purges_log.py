"""Follows the logs of contexts for what makes kept answers out of date. Over HTTP, whatever bus their consumers have: a change is told of in the log first, and
every gateway has to hear of it. A gateway hears tags, and nothing else that logs tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from functools import partial
from typing import Final

from prometheus_client import Counter, Gauge

from torg.contexts.gateway.ports import Answers
from torg.kit import telemetry
from torg.kit.chain import within
from torg.kit.errors import DomainError, Unavailable
from torg.kit.rpc import messages as between
from torg.kit.rpc.client import Asking
from torg.kit.tasks import Supervisor

BEAT: Final = 1.0  # seconds for which the other side waits for something to tell
LATE: Final = 2.5  # seconds without a word after which a change may have been missed
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between tries while the other process is away
PURGED: Final = Counter("torg_gateway_purged_total", "Tags whose kept answers were purged, by how the gateway heard of the change", ("by",))
"""log (of a context), message (from the one whose answers they are)."""
HEARING: Final = Gauge("torg_gateway_hearing", "1 while a context's log is followed, so that answers are kept for as long as is declared", ("context",))


class Follower:
    """Purges answers as the logs of these contexts tell; what a log has told before this one followed it, nothing can have been kept of."""

    def __init__(self, ask: Asking, answers: Answers, contexts: Collection[str]) -> None:
        self._ask, self._answers = ask, answers
        self._heard = dict.fromkeys(contexts, -LATE)

    def hearing(self) -> bool:
        """Whether no change of a moment ago can have been missed."""
        late = time.monotonic() - LATE
        return all(heard > late for heard in self._heard.values())

    def start(self, supervisor: Supervisor) -> None:
        for context in self._heard:
            supervisor.start(f"gateway.purges.{context}", partial(self._follow, context))

    async def _follow(self, context: str) -> None:
        position, pause = -1, FIRST_PAUSE
        while True:
            try:
                position = await self._take(context, position)
                pause = FIRST_PAUSE
            except (Unavailable, DomainError) as away:
                HEARING.labels(context).set(0)
                log = telemetry.log.debug if isinstance(away, Unavailable) else telemetry.log.warning
                log("a gateway cannot hear what changes", context=context, detail=away.detail, seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _take(self, context: str, after: int) -> int:
        with within(LATE):
            changed: between.ChangedTags = await self._ask(context, between.FollowChanges(context=context, after=after, wait=BEAT))
        if after < 0:
            self._answers.clear()  # what was kept before may be older than what nobody heard of
        if changed.tags:
            PURGED.labels("log").inc(len(changed.tags))
            self._answers.purge(*changed.tags)
        self._heard[context] = time.monotonic()
        HEARING.labels(context).set(1)
        return changed.until
