"""Calls to contexts of other processes: found, balanced, signed, bounded in time, and tried again where that is safe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final, TypeVar

import msgspec

from torg.kit import telemetry
from torg.kit.calls import in_transaction
from torg.kit.chain import EDGES, Link, chain, ends, lengthened
from torg.kit.errors import DomainError, Unavailable
from torg.kit.messages import Command, Message, Meta, Query, context_of, encode, reply_type
from torg.kit.rpc import wire
from torg.kit.rpc.balance import Balance, Instance
from torg.kit.rpc.http import Answer, Broken, Connections, Unreachable
from torg.kit.rpc.identity import Identities
from torg.kit.rpc.metrics import AGAIN, ASKED
from torg.kit.rpc.peers import Peers
from torg.kit.shards import context_of_part
from torg.kit.telemetry import current_meta

R = TypeVar("R")
PATIENCE: Final = 10.0  # seconds for an answer, where nobody above has less
TRIES: Final = 3
FIRST_PAUSE: Final = 0.02  # seconds
LOOK_AGAIN: Final = 0.02  # seconds between looks for an instance that is on its way back
HOPELESS: Final = 1.0  # seconds: a time-out after less says more about the caller's patience than about the instance


class Budget:
    """How much may be asked twice: a tenth of all calls, and ten in a row; more would bury who is struggling already."""

    def __init__(self, share: float = 0.1, most: float = 10) -> None:
        self._share, self._most, self._left = share, most, most

    def earn(self) -> None:
        self._left = min(self._left + self._share, self._most)

    def spend(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(slots=True)
class _Call:
    """A call under way, through all of its tries."""

    context: str
    path: bytes
    body: bytes
    meta: bytes
    trace: str
    link: Link
    due: float
    safe: bool
    load: int

    @property
    def left(self) -> float:
        return self.due - time.monotonic()


class RemoteCalls:
    """Implements Call over HTTP. Only queries and commands that are idempotent are sent a second time once they may have arrived."""

    def __init__(self, peers: Peers, connections: Connections, identities: Identities, random: Random, patience: float = PATIENCE) -> None:
        self._peers, self._connections, self._identities, self._random, self._patience = peers, connections, identities, random, patience
        self._balance = Balance(random)
        self._budgets: dict[str, Budget] = {}

    async def __call__(self, message: Command[R] | Query[R], /) -> R:
        return await self.ask(context_of(type(message)), message)

    async def ask(self, context: str, message: Command[R] | Query[R]) -> R:
        """As a call, to a context that handles this message though it is not named for it. Raises DomainError or Unavailable."""
        kind = type(message)
        if in_transaction.get():
            raise RuntimeError(f"{kind.__name__} was called inside a transaction: ask before it, or send a message through the log")
        with telemetry.span("ask", kind.NAME):
            answer = await self._answer(self._begin(context, message, chain.get()))
        reply: R = _decoder(kind)(answer.body)
        return reply

    async def tell_all(self, contexts: Iterable[str], message: Command[None], link: Link) -> None:
        """Sends it once to each process of these contexts; those that do not answer go without."""
        told: dict[str, tuple[str, Instance]] = {}
        for context in contexts:
            with suppress(Unavailable):  # of whom discovery knows nothing now
                known = self._balance.all(context, (await self._peers.of(context)).addresses)
                told |= {instance.address: (context, instance) for instance in known}
        await asyncio.gather(*(self._tell(self._begin(context, message, link), instance) for context, instance in told.values()))

    async def _tell(self, call: _Call, instance: Instance) -> None:
        with suppress(Unreachable, Broken, TimeoutError, Unavailable):
            await self._try(call, instance)

    def _begin(self, context: str, message: Message, link: Link) -> _Call:
        kind, meta = type(message), current_meta.get()
        trace = telemetry.traceparent()
        carried = encode(Meta(meta.cause, meta.actor, meta.request, trace) if trace else meta)
        return _Call(
            context, (wire.PREFIX + kind.NAME).encode(), encode(message), carried, trace or meta.trace, link,
            min(link.due or time.monotonic() + self._patience, ends.get()),
            isinstance(message, Query) or kind.IDEMPOTENT, 0 if kind.WAITS else 1,
        )  # fmt: skip

    async def _answer(self, call: _Call) -> Answer:
        began, outcome = time.perf_counter(), "gone"
        try:
            answer = await self._try_all(call)
            outcome = "done"
            return answer
        except (DomainError, Unavailable, wire.Defect) as error:
            outcome = "refused" if isinstance(error, DomainError) else "unavailable" if isinstance(error, Unavailable) else "defect"
            raise
        finally:
            _observed(call.context, outcome)(time.perf_counter() - began)

    async def _try_all(self, call: _Call) -> Answer:
        tried: list[str] = []
        budget = self._budgets.setdefault(call.context, Budget())
        budget.earn()
        while True:
            instance = await self.find(call.context, call.due, tried)
            tried.append(instance.address)
            try:
                answer = await self._try(call, instance)
            except Unreachable as error:
                obstacle, safe = str(error), True
            except (Broken, TimeoutError) as error:
                obstacle, safe = str(error) or f"{instance.address} did not answer in time", call.safe
            else:
                if answer.status == 200:
                    return answer
                refusal = wire.raised(answer.body)
                if not isinstance(refusal, Unavailable) or not call.safe or len(tried) > 1:
                    raise refusal
                obstacle, safe = refusal.detail, True
            pause = FIRST_PAUSE * 2 ** len(tried) * (0.5 + self._random.random())
            if not safe or len(tried) >= TRIES or call.left < pause or not budget.spend():
                raise Unavailable(f"{call.context} does not answer now: {obstacle}")
            AGAIN.labels(call.context).inc()
            await asyncio.sleep(pause)

    async def find(self, context: str, due: float, tried: Collection[str]) -> Instance:
        """An instance of the context; waits for one that is on its way back, until `due` (time.monotonic). Whoever takes it tells it how that went.
        Raises Unavailable."""
        found = await self._peers.of(context)
        while not found.addresses and found.returning and time.monotonic() + LOOK_AGAIN < due:
            await asyncio.sleep(LOOK_AGAIN)
            found = await self._peers.of(context)
        if not found.addresses:
            raise Unavailable(f"{context} does not run just now" if found.returning else f"nothing here handles messages of {context}")
        instance = self._balance.choose(context, found.addresses, tried)
        if instance is None:
            raise Unavailable(f"{context} has failed again and again; it is left alone for a moment")
        return instance

    async def _try(self, call: _Call, instance: Instance) -> Answer:
        within, began = max(int(call.left * 1000), 1), time.monotonic()
        between = self._identities.introduce(call.link.caller, call.context)
        signature = between.calls.sign(within / 1000, *wire.signed_parts(call.path, call.link, within, call.meta, call.body))
        request = wire.request(instance.address, call.path, call.link, within, call.meta, call.body, between.token, signature, call.trace)
        instance.load += call.load
        try:
            async with asyncio.timeout(within / 1000):
                answer = await self._connections.ask(instance.address, request, call.context)
        except (Unreachable, Broken):
            instance.failed()
            raise
        except TimeoutError:
            instance.failed() if time.monotonic() - began >= HOPELESS else instance.gave_up()
            raise
        except asyncio.CancelledError:
            instance.gave_up()
            raise
        finally:
            instance.load -= call.load
        instance.succeeded(time.monotonic() - began if call.load else None, answer.status < 500)
        return answer


class Asking:
    """Asks the process of a context, or of a part of one, for what is no message of the context's; a link of the chain like any call."""

    def __init__(self, remote: RemoteCalls, caller: str) -> None:
        self._remote, self._caller, self._floor = remote, caller, 0 if caller in EDGES else 1

    async def __call__(self, part: str, message: Any) -> Any:
        context = context_of_part(part)
        token = lengthened(self._caller, self._floor, context, type(message).__name__)
        try:
            return await self._remote.ask(context, message)
        finally:
            chain.reset(token)


@cache
def _decoder(kind: type[Message]) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(reply_type(kind)).decode


@cache
def _observed(context: str, outcome: str) -> Callable[[float], None]:
    return ASKED.labels(context, outcome).observe
