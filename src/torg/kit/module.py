"""What a context hands to the composition, and what it is built with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torg.kit.access import Access
from torg.kit.auditing import Invariant
from torg.kit.bus import Consumer
from torg.kit.calls import Call, Handle, Handlers
from torg.kit.deps import Deps
from torg.kit.http.app import ProblemPage
from torg.kit.http.routes import Route
from torg.kit.messages import Message
from torg.kit.operations import DeskView, Follower
from torg.kit.saga_runner import SagaRunner
from torg.kit.settings import Settings
from torg.kit.shards import Sharding
from torg.kit.store import Store
from torg.kit.tasks import Job
from torg.kit.values import Clock, NewId, Randomness

if TYPE_CHECKING:
    from torg.kit.redis import Redis

Check = Callable[[], Awaitable[str]]
"""Asks an engine whether it answers; gives an empty text, or what is wrong."""


@dataclass(frozen=True)
class Kit:
    """What a context may build itself from. `second_look` is how many seconds an audit waits before it looks again at what disagrees. `call` asks on behalf of
    whoever asked the context, `call_from_pages` on behalf of whoever looks at its pages: these are an edge. `folder` is its own place for files; `purge`
    forgets kept answers by tag; `access` says who may do what; `describe` makes the API's ("openapi") and the events' ("asyncapi") description; `redis` is
    what the process shares with others, where it does; `secret` is the shop's, or several of them (new,old). Of a context that is spread over several
    databases, `shard` is which of them this is, and `former` tells which others have something of a user."""

    settings: Settings
    clock: Clock
    new_id: NewId
    randomness: Randomness
    second_look: float
    call: Call
    call_from_pages: Call
    store: Store
    folder: Path
    public_url: str
    purge: Callable[..., None]
    desks: Mapping[str, DeskView]
    access: Access
    describe: Mapping[str, Callable[[], Awaitable[Mapping[str, Any]]]] = field(default_factory=dict)
    redis: Redis | None = None
    secret: str = ""
    shard: int = 0
    former: Callable[[str], Awaitable[Sequence[Store]]] | None = None


async def _nothing() -> None: ...


@dataclass(frozen=True)
class Module:
    """A context, ready to be composed: its tables of handlers, subscriptions, routes and jobs. `start` runs before anything else of it, once its
    migrations are in; `close` after everything else. `followers` are jobs with work to catch up with, shown and waited for like consumers. `problem_page`
    shows people what went wrong, wherever in the process. `sharding` is for a context whose records may be spread over several databases."""

    name: str
    handlers: Mapping[type[Message], Handle] = field(default_factory=dict)
    routes: Sequence[Route] = ()
    consumers: Sequence[Consumer] = ()
    jobs: Sequence[Job] = ()
    followers: Sequence[Follower] = ()
    sagas: SagaRunner | None = None
    invariants: Sequence[Invariant] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    problem_page: ProblemPage | None = None
    sharding: Sharding | None = None
    start: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing


def bound(handlers: Handlers, deps: object) -> dict[type[Message], Handle]:
    """A context's HANDLERS (or reactions) with its dependencies in place; done anew where their transactions and others' got in each other's way."""
    store = deps.store if isinstance(deps, Deps) and deps.store.database.shared else None
    return {kind: _bind(kind, handler, deps, store) for kind, handler in handlers.items()}


def _bind(kind: type[Message], handler: Callable[[Any, Any], Awaitable[Any]], deps: object, store: Store | None) -> Handle:
    def handle(message: Any) -> Awaitable[Any]:
        return handler(message, deps)

    def handle_undisturbed(message: Any) -> Awaitable[Any]:
        assert store is not None, "there is nobody to get in the way"
        return store.undisturbed(lambda: handler(message, deps), kind.NAME)

    return handle_undisturbed if store else handle
