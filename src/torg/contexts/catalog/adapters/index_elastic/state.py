"""Which index serves, how far it is, and which process feeds it: one small document beside the indexes, changed only by whoever has read it last.

No clock is compared with another machine's: a process is taken for gone when what it wrote last has not changed for as long as a lease by the watch of the
one who looks. Should it come back, its next change is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from torg.contexts.catalog.adapters.index_elastic import fields
from torg.contexts.catalog.adapters.index_elastic.connection import Connection, Refused
from torg.kit.errors import Unavailable
from torg.kit.telemetry import log

REGISTER = "torg-search-register"  # a document for each alias
EXISTS = ("resource_already_exists_exception",)
CONFLICT = 409
NEVER = float("-inf")


@dataclass(frozen=True)
class Patience:
    """Seconds: without a sign of life after which another process feeds the index, and between those signs; `quiet`: that updates wait which no search could
    tell apart, so old may what other processes show be; `grace`: that an index stays which no longer serves, for the searches that have begun."""

    lease: float = 10.0
    renew: float = 3.0
    quiet: float = 5.0
    grace: float = 30.0


class State(msgspec.Struct, frozen=True):
    """What the document says; `feeder` is the process that feeds, `signs` its signs of life."""

    serving: str = ""
    position: int | None = None
    feeder: str = ""
    signs: int = 0


class _Found(msgspec.Struct, frozen=True):
    found: bool
    seq_no: int = msgspec.field(default=0, name="_seq_no")
    primary_term: int = msgspec.field(default=0, name="_primary_term")
    source: State = msgspec.field(default_factory=State, name="_source")


class _Written(msgspec.Struct, frozen=True):
    seq_no: int = msgspec.field(name="_seq_no")
    primary_term: int = msgspec.field(name="_primary_term")


class Lost(Unavailable):
    """Another process feeds the index now."""


def following(index: str) -> str:
    """The name of the index after this one."""
    alias, _, number = index.rpartition("-")
    return f"{alias}-{int(number) + 1:06}"


class Register:
    """The document, as one process knows it. `on_loss` is called when another process has taken over."""

    def __init__(self, connection: Connection, name: str, process: str, patience: Patience, on_loss: Callable[[], None]) -> None:
        self.alias = f"{name}-v{fields.VERSION}"
        self.state = State()
        self.heard = False
        """Whether the document was ever read."""
        self._connection, self._process, self._patience, self._on_loss = connection, process, patience, on_loss
        self._version: tuple[int, int] | None = None
        self._unchanged_since = 0.0
        self._signed_at = NEVER
        self._ready = self._sure = False
        self._changing = asyncio.Lock()

    @property
    def mine(self) -> bool:
        """Whether this process feeds the index, as far as it has heard."""
        return self.state.feeder == self._process

    async def arrange(self) -> None:
        """Makes what is missing: the template, the register, and an empty first index behind the alias."""
        if self._ready:
            return
        template = {"settings": fields.SETTINGS, "mappings": fields.MAPPINGS}
        await self._connection.tell(
            "PUT", f"/_index_template/{self.alias}", {"index_patterns": [f"{self.alias}-0*"], "priority": 500, "allow_auto_create": False, "template": template}
        )
        register = {"settings": fields.STATE_SETTINGS, "mappings": fields.STATE_MAPPINGS}
        await self._connection.tell("PUT", f"/{REGISTER}", register, fine=EXISTS)
        if not await self.aliased():
            await self._connection.tell("PUT", f"/{self.alias}-000001", {"aliases": {self.alias: {}}}, fine=EXISTS)
        self._ready = True

    async def look(self) -> None:
        """Reads the document."""
        try:
            found = await self._connection.ask("GET", f"/{REGISTER}/_doc/{self.alias}", kind=_Found)
        except Refused as refused:
            if refused.status != 404:
                raise
            found = _Found(found=False)
        version = (found.seq_no, found.primary_term) if found.found else None
        if version != self._version or not self.heard:
            self._unchanged_since = time.monotonic()
        self._know(found.source, version)

    async def claim(self, at_once: bool) -> bool:
        """Takes the feeding over if nobody else does it, or `at_once`; keeps it alive."""
        if self.mine and time.monotonic() - self._signed_at < self._patience.renew:
            return True
        async with self._changing:
            await self.arrange()
            await self.look()
            gone = time.monotonic() - self._unchanged_since >= self._patience.lease
            if self.state.feeder not in ("", self._process) and not gone and not at_once:
                return False
            if self.state.feeder != self._process or not self._sure:
                return await self._take_over()
            return await self._write(replace(self.state, signs=self.state.signs + 1))

    async def _take_over(self) -> bool:
        """The position counts only if the index that it was written for still serves: else somebody deleted that, or was interrupted while he changed it."""
        serving = "".join(await self.aliased())
        position = self.state.position if serving == self.state.serving else None
        self._sure = await self._write(State(serving, position, self._process, self.state.signs + 1))
        if self._sure:
            log.info("this process feeds the search index now", index=self.alias, position=position)
        return self._sure

    async def reach(self, position: int | None, serving: str | None = None) -> None:
        """Says how far the index is, and which one it is. Raises Lost."""
        async with self._changing:
            changed = replace(self.state, position=position, serving=serving or self.state.serving, signs=self.state.signs + 1)
            if self.state.feeder != self._process or not await self._write(changed):
                raise Lost("another process feeds the search index now")

    async def resign(self) -> None:
        """Lets another process feed at once."""
        async with self._changing:
            if self.state.feeder == self._process:
                await self._write(replace(self.state, feeder=""))

    def doubt(self) -> None:
        """Something went wrong halfway: the next claim looks at what serves."""
        self._sure = False
        self._signed_at = NEVER

    async def aliased(self) -> list[str]:
        """The indexes that the alias stands for: one, or none."""
        try:
            return sorted(await self._connection.ask("GET", f"/_alias/{self.alias}", kind=dict[str, object]))
        except Refused as refused:
            if refused.status == 404:
                return []
            raise

    async def indexes(self) -> list[str]:
        """All there are of this version, also those that were never finished."""
        return sorted(await self._connection.ask("GET", f"/{self.alias}-0*/_alias", kind=dict[str, object]))

    async def next_index(self) -> str:
        """What the next one is called."""
        return following(max(await self.indexes(), default=f"{self.alias}-000000"))

    async def serve(self, index: str) -> None:
        """Has the alias stand for this index, and at the same moment no longer for another."""
        actions = [{"remove": {"index": f"{self.alias}-0*", "alias": self.alias, "must_exist": False}}, {"add": {"index": index, "alias": self.alias}}]
        await self._connection.tell("POST", "/_aliases", {"actions": actions})

    async def _write(self, state: State) -> bool:
        """Unless somebody else has changed it meanwhile."""
        guard = "op_type=create" if self._version is None else f"if_seq_no={self._version[0]}&if_primary_term={self._version[1]}"
        try:
            written = await self._connection.ask("PUT", f"/{REGISTER}/_doc/{self.alias}?{guard}", state, kind=_Written)
        except Refused as refused:
            if refused.status != CONFLICT:
                raise
            await self.look()
            return False
        self._signed_at = self._unchanged_since = time.monotonic()
        self._know(state, (written.seq_no, written.primary_term))
        return True

    def _know(self, state: State, version: tuple[int, int] | None) -> None:
        lost = self.state.feeder == self._process and state.feeder != self._process and self.heard
        self.state, self._version, self.heard = state, version, True
        if lost and state.feeder:
            log.warning("another process feeds the search index now", index=self.alias)
        if lost:
            self._on_loss()
