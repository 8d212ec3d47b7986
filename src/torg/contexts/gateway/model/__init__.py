"""The front door as `gateway.toml` declares it: which context a path belongs to, how urgent it is, and how often it may be asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Final, Literal

import msgspec

from torg.contexts.gateway.model.keeping import Keep, faults_of_keeping
from torg.contexts.gateway.model.paths import Node, fault_of_path, leaf_of, tree
from torg.contexts.gateway.model.rewriting import Rewrite, faults_of_rewrites
from torg.contexts.gateway.model.services import Service, faults_of_services
from torg.kit.http.admission import Urgency
from torg.kit.limits.model import Algorithm, Limit
from torg.kit.rpc import bounds
from torg.kit.rpc.bounds import Positive, Seconds

OWN: Final = ""
"""What the gateway answers itself."""
LONGEST_WAIT: Final = 10.0
"""Seconds that a leaky bucket may let a request wait."""
RANKS: Final = {urgency.name.lower(): urgency for urgency in Urgency}
COUNTRY: Final = re.compile("[A-Z]{2}")
METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the routing table."""

    context: str
    urgency: Literal["always", "checkout", "cart", "sign_in", "browsing"] = "browsing"
    timeout: Seconds = 60.0
    hedge: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    upgrade: bool = False

    @property
    def rank(self) -> Urgency:
        return RANKS[self.urgency]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit, and whom and what it is for."""

    paths: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    algorithm: Algorithm
    requests: Positive
    seconds: Seconds = 60.0
    burst: Annotated[int, msgspec.Meta(ge=0)] | None = None
    guests: Positive = 1
    per: Literal["caller", "person", "address"] = "caller"
    tier: str = ""
    methods: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()
    away: Literal["open", "closed"] = "open"
    on: bool = True

    def limit(self, name: str, guests: int = 1) -> Limit:
        """Of one caller, or of an address that stands for so many guests."""
        burst = self.requests if self.algorithm is Algorithm.TOKEN_BUCKET else 0
        return Limit(name, self.algorithm, self.requests * guests, self.seconds, (burst if self.burst is None else self.burst) * guests)

    def covers(self, path: str) -> bool:
        return any(below(path, beginning) for beginning in self.paths) and not any(below(path, spared) for spared in self.spares)


class Bounds(bounds.Bounds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one client may take of a process."""

    connections: Positive
    connections_per_address: Positive
    requests_per_person: Positive
    requests_per_context: Positive
    kept_bytes: Positive


class Countries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    blocked: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def admit(self, country: str) -> bool:
        """Whether somebody from there may come in; of those of whom nothing is known ("") just what is blocked is not."""
        return country not in self.blocked and (not self.only or country in self.only)


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole front door."""

    routes: dict[str, Row]
    limits: dict[str, Rule]
    bounds: Bounds
    countries: Countries = Countries()
    rewrites: dict[str, Rewrite] = {}
    services: dict[str, Service] = {}
    kept: dict[str, Keep] = {}

    def beginning_of(self, path: str) -> str:
        """The line of the routing table that a path falls under."""
        return leaf_of(path, tree({beginning: beginning for beginning in self.routes}))


def faults(found: Declared, contexts: Collection[str]) -> list[str]:
    """A sentence for everything that does not fit together."""
    return [
        *_faults_of_routes(found.routes, contexts, found.services), *faults_of_services(found.services, contexts), *_faults_of_limits(found),
        *_faults_of_countries(found.countries), *faults_of_rewrites(found.rewrites),
        *faults_of_keeping(found.kept, lambda path: _context_of(path, found.routes) in found.services),
    ]  # fmt: skip


def _faults_of_routes(routes: Mapping[str, Row], contexts: Collection[str], services: Collection[str]) -> Iterable[str]:
    if "/" not in routes:
        yield '[routes]: say what answers "/": everything that no other line is for'
    for path, row in routes.items():
        if fault := fault_of_path(path):
            yield f'[routes] "{path}": {fault}'
        if row.context not in (OWN, *contexts, *services):
            known = f"contexts are {', '.join(sorted(contexts))}, services {', '.join(sorted(services)) or 'none'}"
            yield f'[routes] "{path}": there is no context {row.context!r}, nor a service; {known}, and "" is the gateway itself'
        if row.upgrade and row.context not in services:
            yield f'[routes] "{path}": no context of the shop speaks WebSocket: upgrade = true is for a service'
        if row.hedge >= row.timeout:
            yield f'[routes] "{path}": a second instance asked after {row.hedge:g} s has no time left of {row.timeout:g} s: ask it sooner'


def _faults_of_limits(found: Declared) -> Iterable[str]:
    answering = tree(found.routes)
    for name, rule in found.limits.items():
        place = f"[limits.{name}]"
        for path in (*rule.paths, *rule.spares):
            if fault := fault_of_path(path) or _nobody_answers(path, found.routes, answering):
                yield f'{place} "{path}": {fault}'
        for method in rule.methods:
            if method not in METHODS:
                yield f"{place}: {method!r} is no method; methods are {', '.join(sorted(METHODS))}"
        limit = rule.limit(name)
        if rule.algorithm in (Algorithm.FIXED_WINDOW, Algorithm.SLIDING_WINDOW) and rule.burst is not None:
            yield f"{place}: a {rule.algorithm.value} has no burst: leave it out, or take a token bucket"
        if rule.algorithm is Algorithm.TOKEN_BUCKET and limit.burst < 1:
            yield f"{place}: burst 0 lets nobody in: 1 or more"
        if rule.algorithm is Algorithm.LEAKY_BUCKET and limit.burst * limit.seconds / limit.requests > LONGEST_WAIT:
            yield f"{place}: the last of {limit.burst} would wait for {limit.burst * limit.seconds / limit.requests:.0f} s: {LONGEST_WAIT:.0f} s at most"
        if rule.guests > 1 and (rule.tier or rule.per != "caller"):
            yield f'{place}: guests are counted where per = "caller" alone'
        if rule.tier and rule.per == "address":
            yield f'{place}: a tier is counted by person: leave out per = "address"'


def _faults_of_countries(countries: Countries) -> Iterable[str]:
    for code in (*countries.blocked, *countries.only):
        if not COUNTRY.fullmatch(code):
            yield f"[countries]: {code!r} is no ISO 3166 code: two capital letters, as DE"


def _context_of(path: str, routes: Mapping[str, Row]) -> str:
    return leaf_of(path, tree(routes)).context if "/" in routes else OWN


def _nobody_answers(path: str, routes: Mapping[str, Row], answering: Node[Row]) -> str:
    """The API's paths all have a context; of pages the web knows."""
    row = leaf_of(path, answering) if "/" in routes else None
    fallen_through = path.startswith("/api/") and (row is None or row is routes.get("/api") or row is routes.get("/"))
    return "no context answers there" if fallen_through and not any(below(known, path) for known in routes) else ""


def unserved(found: Declared, served: Iterable[str]) -> list[str]:
    """A sentence for each path below which none of these routes is, nor anything that is no context's: the gateway's own, and the acquirer beside the shop."""
    beginnings, whole = {"/"}, {"/"}
    beside = [path for path, row in found.routes.items() if row.context in (OWN, "acquirer", *found.services)]
    for path in (*served, *beside):
        segments = ["*" if segment.startswith("{") else segment for segment in path.strip("/").split("/")]
        beginnings.update("/" + "/".join(segments[:count]) for count in range(1, len(segments) + 1))
        whole.add("/" + "/".join(segments))
    places = [("routes", path) for path in found.routes]
    places += [(f"limits.{name}", path) for name, rule in found.limits.items() for path in (*rule.paths, *rule.spares)]
    faults = [f'[{place}] "{path}": no route begins like that' for place, path in places if not _fits_any(path, beginnings)]
    return [*faults, *(f'[kept] "{path}": no route answers just there' for path in found.kept if not _fits_any(path, whole))]


def _fits_any(path: str, beginnings: Collection[str]) -> bool:
    return path in beginnings or any(_fits(path, beginning) for beginning in beginnings)


def _fits(path: str, beginning: str) -> bool:
    ours, theirs = path.split("/"), beginning.split("/")
    return len(ours) == len(theirs) and all(here == there or "*" in (here, there) for here, there in zip(ours, theirs, strict=True))


def below(path: str, beginning: str) -> bool:
    """Whether a path is this one or lies below it; * in the beginning stands for any one segment."""
    if "*" not in beginning:
        return beginning in ("/", path) or path.startswith(beginning + "/")
    ours, theirs = path.split("/"), beginning.split("/")
    return len(ours) >= len(theirs) and all(there in ("*", here) for here, there in zip(ours, theirs, strict=False))
