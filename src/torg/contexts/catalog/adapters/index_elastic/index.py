"""The product index on Elasticsearch, for any number of processes: all search, one at a time feeds.

Products are found through an alias; a rebuild fills another index beside the one that serves and then moves the alias. Updates wait in the memory of the
process that accepted them and are written in bulks; which index serves, how far it is and who feeds it stands in the register (state.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from torg.contexts.catalog.adapters.index_common.accepting import Accepting
from torg.contexts.catalog.adapters.index_common.changes import Update, Waiting
from torg.contexts.catalog.adapters.index_common.documents import Documents
from torg.contexts.catalog.adapters.index_common.synonyms import Synonyms
from torg.contexts.catalog.adapters.index_common.words import Stemmer
from torg.contexts.catalog.adapters.index_elastic.connection import Address, Connection
from torg.contexts.catalog.adapters.index_elastic.searching import Finder
from torg.contexts.catalog.adapters.index_elastic.state import Lost, Patience, Register, following
from torg.contexts.catalog.adapters.index_elastic.suggestions import suggestions
from torg.contexts.catalog.adapters.index_elastic.writing import Writer
from torg.contexts.catalog.ports import ProductChange, SearchPage, SearchRequest, Suggestion
from torg.kit.errors import Unavailable
from torg.kit.telemetry import log

LINGER = 0.3  # seconds that updates wait for each other
MOST_WAITING = 2000  # updates; beyond, whoever brings more waits for a flush
LOOK_EVERY = 1.0  # seconds
PATIENCE = Patience()


class ElasticProductIndex(Accepting):
    """The port ProductIndex. See that `run` runs; `process` tells this one apart from all others."""

    def __init__(self, address: Address, process: str, patience: Patience = PATIENCE) -> None:
        super().__init__()
        self._connection = Connection(address)
        self._waiting = Waiting()
        self._register = Register(self._connection, address.name, process, patience, on_loss=self._forget_updates)
        self._writer = Writer(self._connection)
        self._stemmer = Stemmer()
        self._finder = Finder(self._connection, self._register.alias, Synonyms((), self._stemmer.stems, tuple))
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._patience, self._sweep_at = patience, time.monotonic() + patience.grace
        self._building: str | None = None

    @classmethod
    async def open(cls, address: Address, process: str, patience: Patience = PATIENCE) -> ElasticProductIndex:
        """With what is there already, else an empty index. Raises Unavailable."""
        index = cls(address, process, patience)
        try:
            await index._register.arrange()
            await index._register.look()
        except BaseException:
            await index._connection.close()
            raise
        return index

    @property
    def position(self) -> int | None:
        return self._register.state.position

    async def claim(self, at_once: bool = False) -> bool:
        claimed = await self._register.claim(at_once)
        if self._waiting.accepted is None:
            self._waiting.accepted = self.position
        return claimed

    async def check(self) -> str:
        try:
            if self.position is None:
                await self._register.look()
        except Unavailable as away:
            return away.detail
        return "" if self.position is not None else "the search index is being built"

    async def search(self, request: SearchRequest) -> SearchPage:
        return await self._finder.page(request, self._waiting.latest)

    async def suggest(self, text: str, limit: int = 10) -> tuple[Suggestion, ...]:
        return await suggestions(self._finder, self._past, text, limit)

    async def set_synonyms(self, groups: Iterable[Sequence[str]]) -> None:
        synonyms = Synonyms(groups, self._stemmer.stems, tuple)
        if synonyms.groups != self._finder.synonyms.groups:
            self._finder.synonyms = synonyms
            self._finder.forget()

    async def flush(self) -> None:
        await self._flush(everything=True)

    async def run(self) -> None:
        """An engine that is away is waited for, with what waits to be written."""
        signing = asyncio.create_task(self._sign())
        try:
            await self._keep_up()
        finally:
            signing.cancel()
            await asyncio.gather(signing, return_exceptions=True)

    async def _sign(self) -> None:
        """Signs of life, however long what is being written takes."""
        while True:
            await asyncio.sleep(self._patience.renew)
            with suppress(Unavailable):  # whoever writes tells of it
                if self._register.mine:
                    await self.claim()

    async def _keep_up(self) -> None:
        settled_at, away = time.monotonic(), False
        while True:
            await self._woken()
            settle = time.monotonic() - settled_at >= self._patience.quiet
            settled_at = time.monotonic() if settle else settled_at
            try:
                await self._look_after(settle)
                away = False
            except Unavailable as reason:
                if not away:
                    log.warning("the search index can't be written; it catches up", reason=reason.detail)
                away = True
                await asyncio.sleep(LOOK_EVERY)

    async def rebuild(self, documents: Documents, position: int | None = None) -> None:
        if self._waiting.journal is not None:
            raise RuntimeError("the index is being rebuilt already; wait for that to end")
        if not await self.claim(at_once=True):
            raise Lost("another process feeds the search index now")
        await self.flush()
        self._waiting.begin_journal()
        self._building = name = await self._register.next_index()
        try:
            while not await self._writer.create(name):  # who fed the index until now had just begun one of this name
                self._building = name = following(name)
            await self._writer.fill(name, documents, position or self._waiting.accepted or 0)
            await self._swap(name, position)
        except BaseException:
            await self._abandon(name)
            raise
        finally:
            self._waiting.journal = self._building = None
            self._sweep_at = time.monotonic() + self._patience.grace

    async def close(self) -> None:
        """Writes what waits, if that can be, and lets another process feed."""
        try:
            await self.flush()
            await self._register.resign()
        except Unavailable as away:
            log.warning("the search index could not be told of the last changes; another process will", reason=away.detail)
        await self._connection.close()

    async def _accept(self, updates: Mapping[str, Update], position: int | None) -> None:
        """Nothing is written between what comes without a position and the position that it reaches: the index would take it for older than it is."""
        self._waiting.accept(updates, position)
        self._wake.set()
        if position is not None and len(self._waiting) >= MOST_WAITING:
            await self._flush(everything=False)

    async def _woken(self) -> None:
        """Waits for updates, then a little longer for more."""
        try:
            async with asyncio.timeout(min(LOOK_EVERY, self._patience.renew)):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(LINGER)

    async def _look_after(self, settle: bool) -> None:
        if not self._register.mine and not self._waiting:
            await self._hear()
            return
        await self._flush(everything=settle)
        if await self.claim() and time.monotonic() > self._sweep_at:
            self._sweep_at = float("inf")
            await self._writer.drop(set(await self._register.indexes()) - {*await self._register.aliased(), self._building})

    async def _hear(self) -> None:
        """What the process that feeds has done."""
        before = self._register.state
        await self._register.look()
        if self._register.state.serving != before.serving:
            self._finder.forget()

    async def _flush(self, everything: bool) -> None:
        async with self._writing:
            self._wake.clear()
            if not self._due(everything):
                return
            if not await self.claim():
                self._forget_updates()  # also what came in after it had heard so: pages would show it for ever
                raise Lost("another process feeds the search index now")
            updates, reached = self._waiting.take(everything), self._waiting.accepted
            try:
                quiet = await self._writer.apply(self._register.state.serving, updates, reached or 0, everything)
                if not quiet and not self._waiting.quiet and reached != self.position:
                    await self._register.reach(reached)
            except BaseException:
                self._waiting.failed()
                self._wake.set()
                raise
            self._waiting.written(quiet)
            if not all(isinstance(update, ProductChange) for update in updates.values()):
                self._finder.forget()

    def _due(self, everything: bool) -> bool:
        if self._waiting or (everything and self._waiting.quiet):
            return True
        return not self._waiting.quiet and self._waiting.accepted is not None and self._waiting.accepted != self.position

    async def _swap(self, name: str, position: int | None) -> None:
        """Catches up with what arrived during the rebuild, then lets the new index serve; what arrives now waits as usual."""
        async with self._writing:
            updates = self._waiting.end_journal()
            reached = (
                self._waiting.accepted if position is None else max(position, self._waiting.journal_reaches or 0)
            )  # the products tell it, not the old index
            await self._writer.apply(name, updates, reached or 0, everything=True)
            await self._writer.refresh(name)
            await self._register.reach(reached, serving=name)
            await self._register.serve(name)
            self._waiting.start_from(reached)
            self._finder.forget()

    async def _abandon(self, name: str) -> None:
        """The register may name an index that will never serve: whoever claims next finds out."""
        self._register.doubt()
        with suppress(Unavailable):  # then it is swept away later
            await self._writer.drop([name])

    def _forget_updates(self) -> None:
        """The process that feeds now reads them in the store."""
        self._waiting.forget(self.position)
