"""What a context's log has made out of date, for whoever keeps answers: tags, and nothing else of what it tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from torg.kit.errors import NotFound
from torg.kit.messages import Event, Registry, context_of
from torg.kit.operations import Desk
from torg.kit.rpc.logs import OpenLog, Waiting
from torg.kit.rpc.messages import ChangedTags, FollowChanges, TailLog

AT_ONCE: Final = 256  # rows

Causes = Mapping[type[Event], Callable[[Any], Sequence[str]]]
"""The tags of kept answers that an event makes out of date."""


class Changes:
    """Answers FollowChanges for the contexts of this process."""

    def __init__(self, desks: Mapping[str, Desk], registry: Registry, waiting: Waiting, causes: Causes) -> None:
        self._desks, self._registry, self._waiting, self._causes = desks, registry, waiting, causes
        self._names: dict[str, set[str]] = {}
        for kind in causes:
            self._names.setdefault(context_of(kind), set()).add(kind.NAME)

    async def __call__(self, query: FollowChanges) -> ChangedTags:
        if query.context not in self._desks or query.context not in self._names:
            raise NotFound("context.not_found", f"no log of {query.context} is here that tells of kept answers")
        log = self._desks[query.context].store.log
        if query.after < 0:
            return ChangedTags((), await log.head())
        names = frozenset(self._names[query.context])
        asked = TailLog(context=query.context, after=query.after, limit=AT_ONCE, names=names, wait=query.wait)
        part = await OpenLog(log, self._registry, self._waiting).tail(asked)
        found = {tag for row in part.rows for tag in self._tags(row.name, bytes(row.data))}
        return ChangedTags(tuple(sorted(found)), part.until)

    def _tags(self, name: str, data: bytes) -> Sequence[str]:
        event: Any = self._registry.decode(name, data)
        return self._causes[type(event)](event)
