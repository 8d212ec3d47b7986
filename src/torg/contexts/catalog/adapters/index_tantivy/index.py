"""The product index on tantivy, for one process and one folder.

Text, filters, facets and orders are all tantivy's: its columns count every facet of 92,000 products in about four milliseconds, and of an
ordinary search's results in a fraction of one, so no copy of them is kept beside it (20,000 products take 26 MB, mapped files included).
Reading happens on the event loop, as that is faster than a thread's hand-over, except for facets over very many results. Writing happens in
worker threads: a commit takes 80 ms on disk.

The log position stands in a file of its own, written after the commit (the binding has no commit payload): after a crash between
the two the index is ahead of its position, and updates it already has are repeated, which is harmless as they carry absolute values.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from torg.contexts.catalog.adapters.index_common.accepting import Accepting
from torg.contexts.catalog.adapters.index_common.changes import Update, Updates, Waiting
from torg.contexts.catalog.adapters.index_common.cursors import cursor_for, fingerprint, place_of
from torg.contexts.catalog.adapters.index_common.documents import Documents, one_by_one
from torg.contexts.catalog.adapters.index_common.facet_values import Counted, named
from torg.contexts.catalog.adapters.index_common.planning import Plan
from torg.contexts.catalog.adapters.index_common.synonyms import Synonyms
from torg.contexts.catalog.adapters.index_common.words import Stemmer
from torg.contexts.catalog.adapters.index_tantivy.fields import VERSION, Place
from torg.contexts.catalog.adapters.index_tantivy.files import write_whole
from torg.contexts.catalog.adapters.index_tantivy.generation import Generation
from torg.contexts.catalog.adapters.index_tantivy.snapshot import Snapshot, Words
from torg.contexts.catalog.adapters.index_tantivy.suggestions import suggestions
from torg.contexts.catalog.ports import (
    Facets,
    ProductChange,
    ProductDocument,
    SearchPage,
    SearchRequest,
    Suggestion,
)

STATE_FILE = "state.json"
LINGER = 0.3  # seconds that updates wait for each other
QUIET_FOR = 30.0  # seconds that updates wait which no search could tell apart
MOST_WAITING = 2000  # updates; beyond, whoever brings more waits for a flush
BROAD = 10_000  # results: counting the facets of more takes over a millisecond
REBUILD_CHUNK = 500  # products handed to the worker at once

Result = TypeVar("Result")


class State(msgspec.Struct, frozen=True):
    """Which generation serves, and the log position it stands at."""

    version: int = VERSION
    generation: int = 0
    position: int | None = None


class TantivyProductIndex(Accepting):
    """The port ProductIndex, on a folder that no other process writes to. Open it with `open`, see that `run` runs."""

    def __init__(self, folder: Path, state: State, generation: Generation, stemmer: Stemmer) -> None:
        super().__init__()
        self._folder = folder
        self._state = state
        self._generation = generation
        self._stemmer = stemmer
        self._synonyms = Synonyms((), stemmer.stems, stemmer.stems)
        self._snapshot = Snapshot(generation, Words.of(generation), self._synonyms, stemmer)
        self._waiting = Waiting(state.position)
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._writers = ThreadPoolExecutor(2, "index-writer")  # a rebuild, and the updates meanwhile
        self._readers = ThreadPoolExecutor(2, "index-reader")

    @classmethod
    async def open(cls, folder: Path) -> TantivyProductIndex:
        """Opens the index in the folder, or begins an empty one if there is none or it is of an older version."""
        return await asyncio.to_thread(cls.opened, folder)

    @classmethod
    def opened(cls, folder: Path) -> TantivyProductIndex:
        """As `open`, for where nothing else runs yet: it takes some 50 ms."""
        folder.mkdir(parents=True, exist_ok=True)
        state = _read_state(folder)
        _remove_other_generations(folder, state)
        stemmer = Stemmer()
        generation = Generation(_generation_folder(folder, state.generation), stemmer)
        return cls(folder, state, generation, stemmer)

    @property
    def position(self) -> int | None:
        return self._state.position

    async def claim(self, at_once: bool = False) -> bool:
        """Always: nobody else has this folder."""
        return True

    async def check(self) -> str:
        return "" if self._state.position is not None else "the search index is being built"

    async def search(self, request: SearchRequest) -> SearchPage:
        place = None if request.cursor is None else place_of(request.cursor, request, Place)
        snapshot = self._snapshot
        plan = snapshot.plan(request.text)
        hits = snapshot.page(plan, request, place)
        total, counts = await self._counted(snapshot, plan, request) if request.counted else (0, None)
        shown = hits[: request.limit]
        last = Place(fingerprint(request), shown[-1].tier, shown[-1].key) if len(hits) > len(shown) else None
        return SearchPage(
            items=tuple(card for hit in shown if (card := self._waiting.latest(hit.card)) is not None),
            total=total,
            facets=named(counts, snapshot.categories, request.language) if counts else Facets(),
            next_cursor=cursor_for(last) if last else None,
            corrected_query=plan.corrected if plan else None,
            understood=plan is not None and plan.understood and snapshot.matches(plan) > 0,
        )

    async def suggest(self, text: str, limit: int = 10) -> tuple[Suggestion, ...]:
        return suggestions(self._snapshot, self._past, text, limit)

    async def set_synonyms(self, groups: Iterable[Sequence[str]]) -> None:
        synonyms = Synonyms(groups, self._stemmer.stems, self._stemmer.stems)
        if synonyms.groups == self._synonyms.groups:
            return
        self._synonyms = synonyms
        self._snapshot = self._snapshot.with_synonyms(self._synonyms)

    async def flush(self) -> None:
        await self._flush(everything=True)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        settled_at = loop.time()
        while True:
            await self._woken(QUIET_FOR)
            settle = loop.time() - settled_at >= QUIET_FOR
            await self._flush(everything=settle)
            settled_at = loop.time() if settle else settled_at

    async def close(self) -> None:
        """Writes what waits and lets go of the folder."""
        await self.flush()
        await self._in_thread(self._generation.close)
        self._writers.shutdown()
        self._readers.shutdown()

    async def rebuild(self, documents: Documents, position: int | None = None) -> None:
        if self._waiting.journal is not None:
            raise RuntimeError("the index is being rebuilt already; wait for that to end")
        await self.flush()
        self._waiting.begin_journal()
        folder = _generation_folder(self._folder, self._state.generation + 1)
        generation = self._generation.successor(folder)
        try:
            async for chunk in _chunks(documents):
                await self._in_thread(generation.add_all, chunk)
            old = await self._swap(generation, position)
        except BaseException:
            await self._in_thread(self._abandon, generation)
            raise
        finally:
            self._waiting.journal = None
        await self._in_thread(old.discard)

    async def _swap(self, generation: Generation, position: int | None) -> Generation:
        """Catches up with what arrived during the rebuild, then lets the new generation serve; what arrives now waits as usual."""
        async with self._writing:
            updates = self._waiting.end_journal()
            reached = (
                self._waiting.accepted if position is None else max(position, self._waiting.journal_reaches or 0)
            )  # the products tell it, not the old index
            state = State(generation=self._state.generation + 1, position=reached)
            snapshot = await self._in_thread(self._finish, generation, updates, state)
            old, self._generation, self._state = self._generation, generation, state
            self._snapshot = self._with_present_synonyms(snapshot)
            self._waiting.start_from(reached)
            return old

    def _finish(self, generation: Generation, updates: Updates, state: State) -> Snapshot:
        generation.commit()
        generation.apply(updates, everything=True)
        generation.stand_alone()
        _write_state(self._folder, state)
        return Snapshot(generation, Words.of(generation), self._synonyms, self._stemmer)

    def _abandon(self, generation: Generation) -> None:
        _write_state(self._folder, self._state)
        generation.discard()

    async def _accept(self, updates: Mapping[str, Update], position: int | None) -> None:
        self._waiting.accept(updates, position)
        self._wake.set()
        if len(self._waiting) >= MOST_WAITING:
            await self._flush(everything=False)

    async def _woken(self, at_most: float) -> None:
        """Waits for updates, then a little longer for more."""
        try:
            async with asyncio.timeout(at_most):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(LINGER)

    async def _flush(self, everything: bool) -> None:
        async with self._writing:
            self._wake.clear()
            updates, reached = self._waiting.take(everything), self._waiting.accepted
            if not updates and (self._waiting.quiet or reached == self._state.position):
                return
            try:
                quiet, snapshot, state = await self._in_thread(self._write, updates, everything, reached)
            except BaseException:
                self._waiting.failed()
                self._wake.set()
                raise
            self._waiting.written(quiet)
            self._state = state
            self._snapshot = self._with_present_synonyms(snapshot)

    def _write(self, updates: Updates, everything: bool, reached: int | None) -> tuple[Updates, Snapshot, State]:
        before = self._snapshot
        try:
            quiet = self._generation.apply(updates, everything)
        except BaseException:
            self._generation.rollback()
            raise
        state = self._state
        if not quiet and not self._waiting.quiet and reached != state.position:
            state = State(generation=state.generation, position=reached)
            _write_state(self._folder, state)
        if self._generation.searcher is before.searcher:
            return quiet, before, state
        same_texts = all(isinstance(update, ProductChange) for update in updates.values())
        words = before.words if same_texts else Words.of(self._generation)
        return quiet, Snapshot(self._generation, words, self._synonyms, self._stemmer), state

    def _with_present_synonyms(self, snapshot: Snapshot) -> Snapshot:
        return snapshot if snapshot.synonyms is self._synonyms else snapshot.with_synonyms(self._synonyms)

    async def _counted(self, snapshot: Snapshot, plan: Plan | None, request: SearchRequest) -> Counted:
        known = snapshot.counted(plan, request)
        if known is None:
            broad = snapshot.matches(plan) > BROAD
            known = await self._in_reader(snapshot.count, plan, request) if broad else snapshot.count(plan, request)
            snapshot.remember(plan, request, known)
        return known

    async def _in_reader(self, work: Callable[..., Result], *arguments: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._readers, work, *arguments)

    async def _in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Waits to the end even when cancelled: a generation has one writer at a time."""
        future = asyncio.get_running_loop().run_in_executor(self._writers, work, *arguments)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


async def _chunks(documents: Documents) -> AsyncIterator[list[ProductDocument]]:
    chunk: list[ProductDocument] = []
    async for document in one_by_one(documents):
        chunk.append(document)
        if len(chunk) == REBUILD_CHUNK:
            yield chunk
            chunk = []
    yield chunk


def _generation_folder(folder: Path, generation: int) -> Path:
    return folder / f"generation-{generation}"


def _read_state(folder: Path) -> State:
    file = folder / STATE_FILE
    state = msgspec.json.decode(file.read_bytes(), type=State) if file.exists() else State()
    if state.version != VERSION or not _generation_folder(folder, state.generation).exists():
        return State(generation=state.generation + 1)
    return state


def _write_state(folder: Path, state: State) -> None:
    write_whole(folder / STATE_FILE, msgspec.json.encode(state))


def _remove_other_generations(folder: Path, state: State) -> None:
    """Left over from a rebuild that a crash cut short."""
    for other in folder.glob("generation-*"):
        if other != _generation_folder(folder, state.generation):
            shutil.rmtree(other)
