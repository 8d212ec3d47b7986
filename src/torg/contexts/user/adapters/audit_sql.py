"""What must stay true of users, looked at a slice at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torg.contexts.user.contracts import UserErased
from torg.kit.auditing import Beginning, Fault, Invariant, Rounds, since, untold
from torg.kit.sql.parts import listed
from torg.kit.store import Store

AT_ONCE: Final = 500  # sessions
NEWEST: Final = 100


class SqlUserAudit:
    """Looks for what outlived its user."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions = Rounds(self._ids, self._outliving, AT_ONCE, self._newest)

    def invariants(self) -> tuple[Invariant, ...]:
        sentence = "An erased user has no session."
        return (Invariant("user.sessions", sentence, self._sessions.check, "rebuild_sessions", self._erasure, self._sessions.come),)

    async def _ids(self, after: str, limit: int) -> list[str]:
        rows = await self._store.database.all("select id from session where id > :after order by id limit :limit", after=after, limit=limit)
        return [row["id"] for row in rows]

    async def _newest(self) -> list[str]:
        return [row["id"] for row in await self._store.database.all("select id from session order by id desc limit :limit", limit=NEWEST)]

    async def _outliving(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        names, wanted = listed(ids)
        rows = await self._store.database.all(
            f"select s.id, s.user_id from session s join users u on u.id = s.user_id where s.id in ({names}) and u.erased_at is not null", **wanted
        )
        return {row["id"]: [Fault(sentence=f"session {row['id']} outlived its user", about="user", id=row["user_id"])] for row in rows}

    async def _erasure(self, fault: Fault) -> Beginning:
        rows = await self._store.log.stream(fault.id)
        erased = next((row for row in rows if isinstance(row.message, UserErased)), None)
        return since(erased) if erased else untold("no row of the log says that the user was erased")
