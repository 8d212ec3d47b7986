"""One context's records over several databases, by user. Each shard is the whole context: its own records, log, sagas, consumers and jobs. An identifier
says which shard made it, and a map says where what is new of a user goes. Users move, what they have stays where it is (decision 15)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Final

from torg.kit.bus import Consumer
from torg.kit.calls import Handle
from torg.kit.errors import Unavailable
from torg.kit.http.request import Request, Response
from torg.kit.http.routes import Endpoint, Route
from torg.kit.messages import Message
from torg.kit.sql.port import SqlTransaction
from torg.kit.store import Answer, AwaitedAnswer, Store
from torg.kit.values import NewId

SLOTS: Final = 1024  # that users fall into
MOST: Final = 256  # shards: what two hexadecimal digits can tell apart
FRESH_SECONDS: Final = 2.0  # that a process goes by the map as it read it last
MOVE_SECONDS: Final = 3 * FRESH_SECONDS  # after which nobody goes by a map that is older


def tagged(new_id: NewId, shard: int) -> NewId:
    """Makes UUIDv7 whose last two digits name the shard."""
    return lambda: f"{new_id()[:-2]}{shard:02x}"


def shard_of_id(id: str, shards: int) -> int:
    """Which shard made an identifier; the first, where it is none of ours."""
    try:
        shard = int(id[-2:], 16)
    except ValueError:
        return 0
    return shard if shard < shards else 0


def slot_of(user_id: str) -> int:
    return int.from_bytes(blake2b(user_id.encode(), digest_size=4).digest()) % SLOTS


# ---------------------------------------------------------------- whose a message is


@dataclass(frozen=True)
class OfId:
    """For the shard that made this identifier."""

    id: str


@dataclass(frozen=True)
class OfUser:
    """For the shard where what is new of this user goes; with `all`, for every shard that has something of them, their answers merged."""

    user_id: str
    all: bool = False


@dataclass(frozen=True)
class Everywhere:
    """For all shards, their answers merged."""


Whose = OfId | OfUser | Everywhere


@dataclass(frozen=True)
class Sharding:
    """What a context that can be spread tells of itself: whose a message is (those it handles, and those it hears), and how the answers of several shards
    to one query become one."""

    whose: Callable[[Message], Whose]
    merge: Callable[[Any, Sequence[Any]], Any]


# ---------------------------------------------------------------- the map


@dataclass(frozen=True)
class Placement:
    """Where what is new of a user goes, and where else something of them lies. While they are `moving` nothing new is taken."""

    shard: int
    former: tuple[int, ...] = ()
    moving: bool = False

    @property
    def all(self) -> tuple[int, ...]:
        return (self.shard, *(shard for shard in self.former if shard != self.shard))

    def moved(self, to: int) -> Placement:
        return Placement(to, tuple(dict.fromkeys((*self.former, self.shard))))


class ShardMap:
    """Slots of users, and users with a place of their own, in two tables of the first shard. Read again every two seconds."""

    def __init__(self, store: Store, shards: int, now: Callable[[], float] = time.monotonic) -> None:
        self._store, self._shards, self._now = store, shards, now
        self._read_at = float("-inf")
        self._slots: list[Placement] = []
        self._users: dict[str, Placement] = {}

    async def start(self, occupied: bool) -> None:
        """Makes the map of a new shop: equal parts; of one whose first shard has records already: all stays there until it is moved."""
        await self._store.undisturbed(lambda: self._start(occupied), "shards")

    async def of(self, user_id: str) -> Placement:
        """Raises Unavailable when the map can't be read."""
        if self._now() > self._read_at + FRESH_SECONDS:
            asked = self._now()
            self._slots, self._users = await self.read()
            self._read_at = asked
        return self._users.get(user_id) or self._slots[slot_of(user_id)]

    async def move(self, whom: str | range, to: int, wait: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Has what is new of a user (or of all in these slots) go to another shard. For some seconds nothing new of theirs is taken (503), so that no two
        processes take the same from two maps. What they have stays where it is and is found there."""
        if not 0 <= to < self._shards:
            raise ValueError(f"there is no shard {to}: there are {self._shards}, from 0")
        await self._store.undisturbed(lambda: self._change(whom, lambda placed: replace(placed, moving=True)), "shards")
        await wait(MOVE_SECONDS)
        await self._store.undisturbed(lambda: self._change(whom, lambda placed: placed.moved(to)), "shards")

    async def read(self) -> tuple[list[Placement], dict[str, Placement]]:
        """Where each slot goes, and the users with a place of their own."""
        async with self._store.transaction() as tx:  # both tables at one moment
            return await self._slots_of(tx.sql), {row["user_id"]: _placement(row) for row in await tx.all("select * from shard_user")}

    async def _slots_of(self, tx: SqlTransaction) -> list[Placement]:
        ranges = [(row["first"], _placement(row)) for row in await tx.all("select * from shard_range order by first")]
        ends = [first for first, _ in ranges[1:]] + [SLOTS]
        return [placed for (first, placed), end in zip(ranges, ends, strict=True) for _ in range(first, end)]

    async def _start(self, occupied: bool) -> None:
        async with self._store.transaction() as tx:
            if await tx.value("select count(*) from shard_range"):
                return
            await self._keep(tx.sql, [Placement(0 if occupied else slot * self._shards // SLOTS) for slot in range(SLOTS)])

    async def _change(self, whom: str | range, change: Callable[[Placement], Placement]) -> None:
        async with self._store.transaction() as tx:
            slots = await self._slots_of(tx.sql)
            if isinstance(whom, range):
                await self._keep(tx.sql, [change(placed) if slot in whom else placed for slot, placed in enumerate(slots)])
                return
            row = await tx.one("select * from shard_user where user_id = :user_id", user_id=whom)
            placed = change(_placement(row) if row else slots[slot_of(whom)])
            await tx.execute(
                """insert into shard_user (user_id, shard, former, moving) values (:user_id, :shard, :former, :moving)
                   on conflict (user_id) do update set shard = excluded.shard, former = excluded.former, moving = excluded.moving""",
                user_id=whom, **_columns(placed),
            )  # fmt: skip

    async def _keep(self, tx: SqlTransaction, slots: Sequence[Placement]) -> None:
        await tx.execute("delete from shard_range")
        firsts = [slot for slot in range(SLOTS) if slot == 0 or slots[slot] != slots[slot - 1]]
        await tx.execute_many(
            "insert into shard_range (first, shard, former, moving) values (:first, :shard, :former, :moving)",
            [{"first": first, **_columns(slots[first])} for first in firsts],
        )


def _placement(row: Any) -> Placement:
    return Placement(row["shard"], tuple(int(shard) for shard in row["former"].split()), bool(row["moving"]))


def _columns(placed: Placement) -> dict[str, object]:
    return {"shard": placed.shard, "former": " ".join(map(str, placed.former)), "moving": int(placed.moving)}


# ---------------------------------------------------------------- the shards together


class Shards:
    """The shards of one context in this process."""

    def __init__(self, stores: Sequence[Store], sharding: Sharding) -> None:
        self._stores, self._sharding, self.context = stores, sharding, stores[0].context
        self.map = ShardMap(stores[0], len(stores))

    def handlers(self, parts: Sequence[Mapping[type[Message], Handle]]) -> dict[type[Message], Handle]:
        """Each message's handlers as one."""
        return {kind: self._asking([part[kind] for part in parts]) for kind in parts[0]}

    def routes(self, parts: Sequence[Sequence[Route]]) -> list[Route]:
        """The routes of one shard, with endpoints of all: those of the shard that made the last identifier in the path."""
        return [
            replace(same[0], endpoint=self._choosing([route.endpoint for route in same])) if same[0].endpoint else same[0] for same in zip(*parts, strict=True)
        ]

    def consumer(self, consumer: Consumer, shard: int) -> Consumer:
        """A subscription of one shard: what is another's it passes by."""
        handlers = {kind: self._own(handle, shard) for kind, handle in consumer.handlers.items()}
        return replace(consumer, name=named(consumer.name, shard), handlers=handlers)

    async def former(self, user_id: str) -> Sequence[Store]:
        """The stores besides their own that have something of a user."""
        placed = await self.map.of(user_id)
        return [self._stores[shard] for shard in placed.all[1:]]

    # Answers to Idempotency-Keys: filed beside their effect, which may lie in any shard.

    async def answered(self, caller: str, key: str) -> tuple[str, Answer] | None:
        found = await asyncio.gather(*(store.answered(caller, key) for store in self._stores))
        return next((answer for answer in found if answer), None)

    async def file_answer(self, awaited: AwaitedAnswer, reply: object) -> None:
        await self._stores[(await self.map.of(awaited.caller)).shard].file_answer(awaited, reply)

    def _asking(self, handles: Sequence[Handle]) -> Handle:
        async def ask(message: Message) -> Any:
            whose = self._sharding.whose(message)
            if isinstance(whose, OfId):
                return await handles[shard_of_id(whose.id, len(handles))](message)
            if isinstance(whose, OfUser) and not whose.all:
                return await handles[await self._taking(whose.user_id)](message)
            shards = (await self.map.of(whose.user_id)).all if isinstance(whose, OfUser) else range(len(handles))
            answers = await asyncio.gather(*(handles[shard](message) for shard in shards))
            return answers[0] if len(answers) == 1 else self._sharding.merge(message, answers)

        return ask

    async def _taking(self, user_id: str) -> int:
        placed = await self.map.of(user_id)
        if placed.moving:
            raise Unavailable("your records are being moved just now: try again in a few seconds", retry_after=int(MOVE_SECONDS))
        return placed.shard

    def _choosing(self, endpoints: Sequence[Endpoint | None]) -> Endpoint:
        async def choose(request: Request) -> Response:
            named = next(reversed(request.path_values.values()), "")
            endpoint = endpoints[shard_of_id(named, len(endpoints))]
            assert endpoint is not None, "the same route has an endpoint in all shards or in none"
            return await endpoint(request)

        return choose

    def _own(self, handle: Handle, shard: int) -> Handle:
        async def hear(message: Message) -> Any:
            whose = self._sharding.whose(message)
            return await handle(message) if not isinstance(whose, OfId) or shard_of_id(whose.id, len(self._stores)) == shard else None

        return hear


def named(name: str, shard: int) -> str:
    """What a shard's part goes by: the first has the plain name."""
    return f"{name}~{shard}" if shard else name


def context_of_part(name: str) -> str:
    """The context, of what `named` made."""
    return name.partition("~")[0]
