"""Opens the small shop: the whole application on a real port, with the sandbox acquirer beside it, without the wait for the disk."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NoReturn, Protocol, cast

import pytest

from tests.shop.described import Answers
from tests.shop.goods import CURRENCY, PASSWORD, fill, goods
from tests.shop.people import Buyer, Visitor, fresh
from torg import background, compose
from torg.kit import values
from torg.kit.bus import FailedMessage
from torg.kit.calls import Call, Handle
from torg.kit.errors import Unavailable
from torg.kit.http import Route
from torg.kit.listening import Listening, listens
from torg.kit.messages import Message, context_of
from torg.kit.ports import free_port
from torg.kit.settings import Settings
from torg.kit.sql.sqlite import SqliteDatabase
from torg.kit.store import Store
from torg.kit.testing.http import Answer, ask
from torg.kit.testing.postgres import SUITES, own_base
from torg.kit.testing.waiting import until

MODES = ("local", "loopback")
SLOWEST = 0.002  # seconds
HALF_A_TOKEN = timedelta(minutes=7)
SOON = 0.1  # seconds between two looks of an audit, where nobody buys meanwhile


class MovableClock:
    """The wall clock, and what it was moved on by."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return values.utc_now() + self._ahead

    def advance(self, **by: float) -> None:
        """Moves on by timedelta's words: advance(minutes=16)."""
        self._ahead += timedelta(**by)


class BrokenDisk:
    """A connection to a database on a disk that has died."""

    in_transaction = False

    def execute(self, *_: object) -> NoReturn:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    def rollback(self) -> None: ...


class Silence:
    """Answers nothing, until it is over."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def __call__(self, *_: object) -> NoReturn:
        await self.over.wait()
        raise Unavailable("it has said nothing for a while")


class Clock(Protocol):
    def __call__(self) -> datetime: ...
    def advance(self, **by: float) -> None: ...


class Shop:
    """An open shop: its application, its address, its clock, and its people."""

    def __init__(self, app: compose.Running, clock: Clock) -> None:
        self.app, self.clock, self.address, self.answers = app, clock, app.settings.public_url, Answers(app)
        self._shelf: Iterator[str] = iter([product.id for product in goods()])
        self._staff: dict[str, tuple[Visitor, datetime]] = {}

    told_within = 0.0  # seconds in which everybody knows of a session that has ended or changed, for `until`

    # ---------------------------------------------------------------- how it is reached

    async def send(self, method: str, target: str, body: object = None, **more: Any) -> Answer:
        """One request, by HTTP's own path through the application, minus the socket."""
        return await ask(self.app.http, method, target, body, **more)

    @property
    def call(self) -> Call:
        """Speaks to the contexts by their messages."""
        return self.app.call

    @property
    def routes(self) -> Sequence[Route]:
        return self.app.http.routes

    async def store(self, context: str) -> Store:
        """A context's records, as nobody but the context itself should see them."""
        return self.app.stores[context]

    async def failed(self) -> list[tuple[str, FailedMessage]]:
        """What consumers could not handle, with their contexts."""
        return [(context, failed) for context, desk in self.app.desks.items() for failed in await desk.failed_messages()]

    @asynccontextmanager
    async def unreachable(self, context: str) -> AsyncIterator[None]:
        """Nobody gets an answer from a context for a while; it follows the others all the same."""
        handlers = cast("dict[type[Message], Handle]", self.app.call._handlers)
        hidden = {kind: handle for kind, handle in handlers.items() if context_of(kind) == context}
        assert hidden
        for kind in hidden:
            del handlers[kind]
        try:
            yield
        finally:
            handlers.update(hidden)

    @contextmanager
    def hanging(self, context: str) -> Iterator[None]:
        """Who asks a context for something gets no answer at all for a while; it follows the others all the same."""
        handlers = cast("dict[type[Message], Handle]", self.app.call._handlers)
        answering = {kind: handle for kind, handle in handlers.items() if context_of(kind) == context}
        assert answering
        silence = Silence()
        handlers.update(dict.fromkeys(answering, silence))
        try:
            yield
        finally:
            handlers.update(answering)
            silence.over.set()

    @contextmanager
    def broken_disk(self, context: str) -> Iterator[None]:
        """Nothing of a context's file can be read or written for a while."""
        database = self.app.stores[context].database
        if not isinstance(database, SqliteDatabase):
            pytest.skip("only files lie on a disk of ours")
        reader, writer = database.connection, database._writer
        database.connection = database._writer = cast("sqlite3.Connection", BrokenDisk())
        try:
            yield
        finally:
            database.connection, database._writer = reader, writer

    @contextmanager
    def search_away(self) -> Iterator[None]:
        """The search index answers nobody for a while."""

        async def away(*_: object) -> NoReturn:
            raise Unavailable("the index does not answer")

        (index,) = (cast("Any", job.run).__self__ for module in self.app.modules for job in module.jobs if job.name == "catalog.index")
        index.search = index.suggest = away
        try:
            yield
        finally:
            del index.search, index.suggest

    # ---------------------------------------------------------------- who uses it

    def guest(self, **headers: str) -> Visitor:
        return Visitor(self, headers=headers)

    async def sign_in(self, email: str, password: str = PASSWORD) -> Visitor:
        reply = await self.guest().post("/sessions", {"email": email, "password": password})
        assert reply.status == 201, reply
        return Visitor(self, reply.json["access_token"])

    async def staff(self, role: str) -> Visitor:
        """Somebody of the staff; the same session each time, while it is good for the rest of a test."""
        known, since = self._staff.get(role, (None, self.clock()))
        if known is None or self.clock() - since > HALF_A_TOKEN or (await known.get("/users/me")).status != 200:
            known = await self.sign_in(f"{role}@torg.example")
            self._staff[role] = known, self.clock()
        return known

    async def buyer(self, balance: int = 1_000_000) -> Buyer:
        """A new buyer who has signed in, with so much in the wallet."""
        email = f"{fresh()}@buyers.torg.example"
        person = {"email": email, "password": PASSWORD, "full_name": "Anna Petrova", "city": "Moscow", "birth_date": "1990-05-17"}
        reply = await self.guest().post("/users", person)
        assert reply.status == 201, reply
        signed_in = await self.sign_in(email)
        buyer = Buyer(self, signed_in.token, user_id=reply.json["id"], email=email)
        if balance:
            reply = await buyer.once("/wallet/top-ups", {"amount": {"amount": balance, "currency": CURRENCY}})
            assert reply.status == 201, reply
        return buyer

    def product(self) -> str:
        """A product that no other test has touched."""
        return next(self._shelf)

    async def stock(self, product_id: str) -> int:
        available: int = (await self.guest().get(f"/inventory/{product_id}")).json["available"]
        return available

    async def set_stock(self, product_id: str, available: int) -> None:
        """Corrects the stock until just so many are for sale, all in one warehouse."""
        clerk = await self.staff("warehouse")
        places = (await clerk.get(f"/inventory/{product_id}")).json["by_warehouse"]
        for number, place in enumerate(places):
            change = (0 if number else available) - place["available"]
            if change:
                moved = {"warehouse_id": place["warehouse_id"], "quantity": change, "reason": "correction"}
                assert (await clerk.once(f"/inventory/{product_id}/movements", moved)).status == 201

    async def settle(self) -> None:
        await self.app.settle()

    def merchant(self) -> Visitor:
        """The shop itself, as its acquirer knows it."""
        assert self.app.acquirer is not None
        return Visitor(self, self.app.acquirer.secret, to=self.app.acquirer.http, prefix="")

    async def faults(self, **switched_on: Any) -> None:
        """Has the acquirer misbehave in these ways, and in no others."""
        reply = await self.merchant().put("/acquirer/faults", switched_on)
        assert reply.status == 204, reply

    async def acquirers_books(self) -> dict[str, dict[str, Any]]:
        """Each charge in the acquirer's books, by our payment's id."""
        merchant, charges, cursor = self.merchant(), dict[str, dict[str, Any]](), ""
        while True:
            page = (await merchant.get("/acquirer/books", cursor=cursor)).json
            charges |= {charge["reference"]: charge for charge in page["items"]}
            cursor = page["next_cursor"]
            if not cursor:
                return charges


@asynccontextmanager
async def open_shop(
    folder: Path,
    *,
    dawdling: Random | None = None,
    filled: bool = False,
    clock: Clock | None = None,
    second_look: float = compose.World.second_look,
    **settings: Any,
) -> AsyncIterator[Shop]:
    """The whole shop, filled (unless it is already) and indexed, until the block ends. `dawdling`: contexts take random moments to ask and to answer each
    other, as on a network, so that requests get in each other's way wherever they can. Where suites run on a server, in a new database of that."""
    clock = clock or MovableClock()
    world = compose.World(clock=clock, second_look=second_look)
    async with own_base(os.environ.get(SUITES, "")) as base, _open_shop(folder, dawdling, filled, world, clock, {"db": base, **settings}) as shop:
        yield shop


@asynccontextmanager
async def _open_shop(folder: Path, dawdling: Random | None, filled: bool, world: compose.World, clock: Clock, settings: dict[str, Any]) -> AsyncIterator[Shop]:
    port = free_port()
    chosen = {"port": port, "data": str(folder), "sync": "OFF", "currency": CURRENCY, "password_memory_kib": 8, "log_level": "error", **settings}
    app = await compose.compose(Settings(**chosen), world=world)
    await background.start(app)
    try:
        if not filled:
            await fill(app.call, app.settle)
        if dawdling:
            _dawdle(app, dawdling)
        async with _on_port(app):
            shop = Shop(app, clock)
            await shop.settle()
            await until(lambda: indexed(shop), "the search index is complete")
            yield shop
    finally:
        await app.close()


def _dawdle(app: compose.Running, random: Random) -> None:
    def slowed(handle: Handle) -> Handle:
        async def dawdle(message: Any) -> Any:
            await asyncio.sleep(random.random() * SLOWEST)
            reply = await handle(message)
            await asyncio.sleep(random.random() * SLOWEST)
            return reply

        return dawdle

    handlers = cast("dict[type[Message], Handle]", app.call._handlers)
    handlers.update({kind: slowed(handle) for kind, handle in handlers.items()})


async def indexed(shop: Shop) -> bool:
    found = await shop.guest().get("/products", limit=1)
    ready = await Visitor(shop, prefix="").get("/ready")
    return ready.status == 200 and found.status == 200 and found.json["total"] == len(goods())


@asynccontextmanager
async def _on_port(app: compose.Running) -> AsyncIterator[None]:
    server = Listening(app.asgi, app.settings.host, app.settings.port)
    serving = asyncio.ensure_future(server.serve())
    await until(lambda: listens(app.settings.host, app.settings.port), "the port answers")
    try:
        yield
    finally:
        await app.http.close()
        server.stop()
        await serving
