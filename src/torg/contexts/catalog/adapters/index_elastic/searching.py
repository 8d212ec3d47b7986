"""Searches and suggestions: a page and its facets in one round trip; four where nothing is found by the words as they were typed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from torg.contexts.catalog.adapters.index_common.categories import Categories, CategoryNode
from torg.contexts.catalog.adapters.index_common.cursors import cursor_for, fingerprint
from torg.contexts.catalog.adapters.index_common.facet_values import named
from torg.contexts.catalog.adapters.index_common.planning import Plan, Planner, asked_words, plain_plan, switched_words
from torg.contexts.catalog.adapters.index_common.synonyms import Synonyms
from torg.contexts.catalog.adapters.index_common.words import in_russian_letters
from torg.contexts.catalog.adapters.index_elastic import facets, lexicon, queries
from torg.contexts.catalog.adapters.index_elastic.connection import Connection, Refused
from torg.contexts.catalog.adapters.index_elastic.facets import Buckets
from torg.contexts.catalog.adapters.index_elastic.queries import Place, Query
from torg.contexts.catalog.ports import ProductCard, SearchPage, SearchRequest
from torg.kit.errors import Unavailable

REMEMBERED = 2000  # readings of texts, frequencies of words
READING_HOLDS, FREQUENCY_HOLDS = 5.0, 60.0  # seconds; what this process itself writes is known at once
NAMES_HOLD = 30.0  # seconds, the names of categories
NAMES_AGAIN = 1.0  # seconds after which a category without a name is looked for again
MOST_CATEGORIES = 20_000
CARD = {"excludes": ["product.description", "product.description_ru", "product.keywords"]}
WHOLE = {"allow_partial_search_results": False}
NO_INDEX = 404

Key = TypeVar("Key")
Value = TypeVar("Value")


class _Source(msgspec.Struct, frozen=True):
    product: ProductCard


class _Hit(msgspec.Struct, frozen=True):
    source: _Source = msgspec.field(name="_source")
    sort: tuple[int | float | str, ...] = ()


class _Hits(msgspec.Struct, frozen=True):
    hits: list[_Hit] = []


class _Total(msgspec.Struct, frozen=True):
    value: int


class _Matched(msgspec.Struct, frozen=True):
    total: _Total


class _Failure(msgspec.Struct, frozen=True):
    type: str = ""
    reason: str | None = ""


class _Page(msgspec.Struct, frozen=True):
    status: int = 200
    error: _Failure | None = None
    hits: _Hits = _Hits()


class _Counts(msgspec.Struct, frozen=True):
    status: int = 200
    error: _Failure | None = None
    hits: _Matched = _Matched(_Total(0))
    aggregations: dict[str, facets.Counted] = {}


class _Answers(msgspec.Struct, frozen=True):
    responses: tuple[_Page, _Counts]


class _Counted(msgspec.Struct, frozen=True):
    """Of filters in a row, how much each finds."""

    aggregations: dict[str, Buckets] = {}


class _Found(msgspec.Struct, frozen=True):
    hits: _Hits


class Names(msgspec.Struct, frozen=True):
    """The categories of the products, and how many each has."""

    categories: Categories
    counts: Mapping[str, int]
    read_at: float


class Remembered(Generic[Key, Value]):
    """What was found out a while ago."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept: dict[Key, tuple[Value, float]] = {}

    def get(self, key: Key) -> Value | None:
        kept = self._kept.get(key)
        return kept[0] if kept and time.monotonic() < kept[1] else None

    def put(self, key: Key, value: Value) -> None:
        if len(self._kept) >= REMEMBERED:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = value, time.monotonic() + self._seconds

    def clear(self) -> None:
        self._kept.clear()


class Finder:
    """Reads what an alias stands for."""

    def __init__(self, connection: Connection, alias: str, synonyms: Synonyms) -> None:
        self._connection, self._alias = connection, alias
        self.synonyms = synonyms
        self._readings = Remembered[str, Plan](READING_HOLDS)
        self._frequencies = Remembered[str, int](FREQUENCY_HOLDS)
        self._names = Names(Categories({}), {}, -NAMES_HOLD)

    def forget(self) -> None:
        """Other texts are in the index."""
        self._readings.clear()
        self._frequencies.clear()
        self._names = Names(self._names.categories, self._names.counts, -NAMES_HOLD)

    async def page(self, request: SearchRequest, latest: Callable[[ProductCard], ProductCard | None]) -> SearchPage:
        """`latest` is the card with what waits to be written, if there still is such a product."""
        place = queries.place_in(request)
        read_before = self._readings.get(request.text)
        plan = read_before or self._plain(request.text)
        page, counted = await self._ask(plan, request, place)
        if plan and plan.slots and not read_before and not counted.hits.total.value:
            plan = await self._meant(request.text, plan)
            self._readings.put(request.text, plan)
            page, counted = await self._ask(plan, request, place)
        return await self._shown(request, plan, page, counted, latest)

    async def categories(self) -> Names:
        """Their names, half a minute old at most."""
        if time.monotonic() - self._names.read_at > NAMES_HOLD:
            await self._read_names()
        return self._names

    async def lexicon(self, words: Sequence[str], others: Sequence[str] = ()) -> lexicon.Lexicon:
        """What is known of these words and their Russian spellings, and whether the others are known; nothing of any else."""
        spellings = [spelling for word in words for spelling in in_russian_letters(word)]
        likeliest = [spelling for word in words for spelling in in_russian_letters(word)[:1]]
        return lexicon.Lexicon(await self._search(lexicon.question([*words, *likeliest], others, spellings), lexicon.Words), [*words, *likeliest, *others])

    async def most_popular(self, query: Query, limit: int) -> list[ProductCard]:
        body = {"query": query, "size": limit, "sort": queries.order(None, "-popularity"), "_source": CARD, "track_total_hits": False}
        return [hit.source.product for hit in (await self._search(body, _Found)).hits.hits]

    def _plain(self, text: str) -> Plan | None:
        """None when there is no text; text without words finds nothing."""
        if words := asked_words(text):
            return plain_plan(words, self.synonyms, tuple)
        return Plan(slots=()) if text.strip() else None

    async def _meant(self, text: str, plain: Plan) -> Plan:
        """What was meant by a text of which the words as they are find nothing."""
        known = await self.lexicon(asked_words(text), switched_words(text))
        readings = list(Planner(known, self.synonyms, tuple).readings(text))[1:]
        counts = iter(await self._counts([queries.matching(plan) for plans in readings for plan in plans]))
        for plans in readings:
            found = [(next(counts), plan) for plan in plans]
            most, best = max(found, key=lambda one: one[0], default=(0, plain))
            if most:
                return best
        return plain

    async def _rarest(self, plan: Plan) -> int | None:
        """The slot that the fewest names have, if any have it."""
        firsts = list(dict.fromkeys(phrase[0] for slot in plan.slots for phrase in slot))
        if missing := [word for word in firsts if self._frequencies.get(word) is None]:
            for word, count in zip(missing, await self._counts([queries.with_word("names", word) for word in missing]), strict=True):
                self._frequencies.put(word, count)
        counts = [(max(self._frequencies.get(phrase[0]) or 0 for phrase in slot), at) for at, slot in enumerate(plan.slots)]
        return min(((count, at) for count, at in counts if count), default=(0, None))[1]

    async def _counts(self, asked: Sequence[Query]) -> list[int]:
        """How many products each of the queries finds."""
        if not asked:
            return []
        body = {"size": 0, "track_total_hits": False, "aggs": {"each": {"filters": {"filters": asked}}}}
        answer = await self._search(body, _Counted)
        return [bucket.doc_count for bucket in answer.aggregations["each"].buckets]

    async def _ask(self, plan: Plan | None, request: SearchRequest, place: Place | None) -> tuple[_Page, _Counts]:
        ranking = plan is not None and request.sort == "relevance"
        rarest = await self._rarest(plan) if plan and ranking and len(plan.slots) > 1 and plan.at_least is None else None
        kept = (await self.categories()).categories.around(request.category) if request.category else frozenset[str]()
        filters, words = queries.filters(request), queries.matching(plan)
        found = {"must": queries.ranked(plan, rarest), "filter": list(filters.values())} if plan and ranking else {"filter": [words, *filters.values()]}
        order = queries.order(plan, request.sort)
        page: dict[str, Any] = {"query": {"bool": found}, "size": request.limit + 1, "sort": order, "_source": CARD, "track_total_hits": False}
        if place is not None:
            page["search_after"] = place.after
        counts = {"query": words, "size": 0, "track_total_hits": True, "aggs": facets.aggregations(filters, kept)}
        lines = [WHOLE, page, {**WHOLE, "request_cache": True}, counts]
        answer = await self._connection.ask("POST", f"/{self._alias}/_msearch", lines, kind=_Answers)
        for part in answer.responses:
            if part.error is not None:
                raise _failure(part.status, part.error)
        return answer.responses

    async def _shown(
        self, request: SearchRequest, plan: Plan | None, page: _Page, counted: _Counts, latest: Callable[[ProductCard], ProductCard | None]
    ) -> SearchPage:
        hits = page.hits.hits
        shown = hits[: request.limit]
        last = Place(fingerprint(request), shown[-1].sort) if len(hits) > len(shown) else None
        counts = facets.counts(counted.aggregations)
        categories = await self._naming([value for value, _ in counts["category"]])
        return SearchPage(
            items=tuple([card for hit in shown if (card := latest(hit.source.product)) is not None]),
            total=counted.aggregations["all"].doc_count,
            facets=named(counts, categories, request.language),
            next_cursor=cursor_for(last) if last else None,
            corrected_query=plan.corrected if plan else None,
            understood=plan is not None and plan.understood and counted.hits.total.value > 0,
        )

    async def _naming(self, ids: Sequence[str]) -> Categories:
        """Categories that know these, as far as the index does."""
        names = self._names
        if time.monotonic() - names.read_at > NAMES_AGAIN and not all(id_ in names.counts for id_ in ids):
            await self._read_names()
        return self._names.categories

    async def _read_names(self) -> None:
        """While a category is being renamed its products have it by both names: the one with more of them holds."""
        body = {"size": 0, "track_total_hits": False, "aggs": {"each": {"terms": {"field": "node", "size": MOST_CATEGORIES}}}}
        found = (await self._search(body, _Counted)).aggregations["each"].buckets
        counts, nodes = dict[str, int](), dict[str, CategoryNode]()
        for bucket in sorted(found, key=lambda bucket: bucket.doc_count):
            node = msgspec.json.decode(bucket.key, type=CategoryNode)
            nodes[node.named.id] = node
            counts[node.named.id] = counts.get(node.named.id, 0) + bucket.doc_count
        self._names = Names(Categories(nodes), counts, time.monotonic())

    async def _search(self, body: Mapping[str, Any], kind: type[Value]) -> Value:
        try:
            return await self._connection.ask("POST", f"/{self._alias}/_search?allow_partial_search_results=false", body, kind=kind)
        except Refused as refused:
            raise _failure(refused.status, _Failure(refused.kind, str(refused))) from refused


def _failure(status: int, failure: _Failure) -> Exception:
    """What to raise instead."""
    if status == NO_INDEX:
        return Unavailable("the search index is being built")
    if status >= 500 or status == 429:
        return Unavailable(f"the search can't answer now: {failure.type}")
    return Refused(status, failure.type, failure.reason or "")
