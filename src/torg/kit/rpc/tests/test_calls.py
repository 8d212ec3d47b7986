"""Calls between processes, over real ports."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from torg.kit import telemetry, values
from torg.kit.calls import in_transaction
from torg.kit.chain import Link, TooDeep, chain, within
from torg.kit.errors import ConcurrentChange, DomainError, FieldError, Forbidden, Invalid, NotFound, TooManyRequests, Unavailable
from torg.kit.messages import Meta
from torg.kit.ports import free_port
from torg.kit.rpc import wire
from torg.kit.rpc.http import Connections
from torg.kit.rpc.identity import Identities, KeyPair, StaticKeys
from torg.kit.rpc.tests.house import REFUSALS, SERVICES, Kitchen, calling, listening, raising, server
from torg.kit.rpc.tests.kitchen import Brew, Cup, LookOut, Smash, Wipe
from torg.kit.telemetry import current_meta
from torg.kit.testing.identities import pair_of, speaking_for

META = Meta(cause="order/o1/3", actor="анна", request="r-1", trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


SECRET = "redis://:hushhush1234@db:6379/0"


async def test_what_is_said_and_answered_arrives_as_it_was():
    kitchen = Kitchen()
    async with listening(server(kitchen)) as address, calling(address) as call:
        assert await call(Brew("чай")) == Cup("чай", marks=msgspec.Raw(b'{"best":[1,2]}'))
        await call(Smash("a\r\n\0b"))
    assert kitchen.asked == [Brew("чай"), Smash("a\r\n\0b")]


async def test_meta_chain_and_deadline_travel_along():
    seen: list[Any] = []

    async def look(_: object) -> Cup:
        seen.extend((current_meta.get(), chain.get()))
        return Cup("tea")

    kitchen = Kitchen()
    kitchen.does = look
    async with listening(server(kitchen)) as address, calling(address, caller="dining-room") as call:
        with telemetry.acting(META), within(3):
            await call(Brew("tea"))
    meta, link = seen
    assert meta == META
    assert (link.caller, link.depth) == ("dining-room", 2)
    assert 0 < link.due - time.monotonic() <= 3


@pytest.mark.parametrize(
    "error",
    [*REFUSALS, NotFound("cup.not_found", "no such cup"), TooManyRequests("kitchen.busy", "wait", 9), ConcurrentChange("cup.taken", "somebody else has it")],
    ids=lambda error: type(error).__name__,
)
async def test_a_refusal_is_the_same_exception_on_the_other_side(error: Exception):
    kitchen = Kitchen()
    kitchen.does = raising(error)
    async with listening(server(kitchen)) as address, calling(address) as call:
        with pytest.raises(type(error)) as raised:
            await call(Smash("cup"))
    assert type(raised.value) is type(error)
    assert vars(raised.value).items() >= vars(error).items()
    assert len(kitchen.asked) == 1


async def test_no_refusal_carries_a_secret_or_a_card_number():
    kitchen = Kitchen()
    for error in (
        DomainError("cup.broken", f"who asks with {SECRET}"),
        Invalid.fields(FieldError("of", "unknown", f"{SECRET} is no tea")),
        Unavailable(SECRET),
    ):
        kitchen.does = raising(error)
        async with listening(server(kitchen)) as address, calling(address) as call:
            with pytest.raises(type(error)) as raised:
                await call(Smash("cup"))
        assert "hushhush1234" not in str(vars(raised.value))


async def test_a_defect_is_told_as_one_and_is_not_asked_for_twice():
    kitchen = Kitchen()
    kitchen.does = raising(ZeroDivisionError("half a cup"))
    async with listening(server(kitchen)) as address, calling(address) as call:
        with pytest.raises(wire.Defect, match=r"kitchen\.brew: ZeroDivisionError: half a cup"):
            await call(Brew("tea"))
    assert len(kitchen.asked) == 1


async def test_who_has_another_key_or_none_that_is_known_is_turned_away():
    kitchen, thief = Kitchen(), KeyPair(b"a thief's".ljust(32))
    async with listening(server(kitchen)) as address:
        stolen_name = Identities(StaticKeys({"web": (thief,)}, {"kitchen": (pair_of("kitchen").public,)}), values.utc_now, values.randomness)
        for identities, caller in ((stolen_name, "web"), (speaking_for("a-stranger", services=SERVICES), "a-stranger")):
            async with calling(address, caller=caller, identities=identities) as call:
                with pytest.raises(Unavailable, match=f"its key is none of those known of '{caller}'"):
                    await call(Brew("tea"))
    assert not kitchen.asked


async def test_a_process_speaks_for_nobody_but_who_runs_in_it():
    kitchen = Kitchen()
    async with listening(server(kitchen)) as address, calling(address, caller="dining-room", identities=speaking_for("web", services=SERVICES)) as call:
        with pytest.raises(RuntimeError, match="no key of 'dining-room'"):
            await call(Brew("tea"))
    assert not kitchen.asked


async def test_who_may_not_ask_is_refused_by_the_name_of_their_key():
    kitchen = Kitchen()
    guarded = server(kitchen, may_ask=lambda caller, context, message: (caller, context, message) == ("web", "kitchen", "kitchen.brew"))
    async with listening(guarded) as address:
        async with calling(address) as call:
            await call(Brew("tea"))
            with pytest.raises(Forbidden, match=r"web .* kitchen\.smash"):
                await call(Smash("cup"))
        async with calling(address, caller="dining-room") as call:
            with pytest.raises(Forbidden, match="dining-room"):
                await call(Brew("tea"))
    assert kitchen.asked == [Brew("tea")]


async def test_nothing_of_a_call_can_be_changed_on_its_way():
    kitchen, connections = Kitchen(), Connections()
    path, link, body = b"/rpc/kitchen.brew", Link(1, "web"), b'{"of":"tea"}'
    identities = speaking_for("web", "dining-room", services=SERVICES)
    between = identities.introduce("web", "kitchen")
    signature = between.calls.sign(5, *wire.signed_parts(path, link, 5000, b"{}", body))

    async def sent(**changed: Any) -> int:
        parts = {"path": path, "link": link, "within": 5000, "meta": b"{}", "body": body, "identity": between.token, **changed}
        return (await connections.ask(address, wire.request(address, **parts, signature=signature, trace=""))).status

    async with listening(server(kitchen)) as address:
        assert await sent() == 200
        assert await sent(body=b'{"of":"ale"}') == 401
        assert await sent(path=b"/rpc/kitchen.smash") == 401
        assert await sent(link=Link(2, "web")) == 401
        assert await sent(identity=identities.introduce("dining-room", "kitchen").token) == 401
        assert await sent(within=60_000) == 401
        assert await sent(meta=b'{"actor":"anna"}') == 401
        await connections.close()
    assert len(kitchen.asked) == 1


async def test_a_third_context_in_a_chain_is_refused_on_both_sides():
    kitchen, connections = Kitchen(), Connections()
    async with listening(server(kitchen)) as address, calling(address, caller="dining-room") as call:
        token = chain.set(Link(2, "web"))
        with pytest.raises(TooDeep):
            await call(Brew("tea"))
        chain.reset(token)
        link, body, between = Link(3), b'{"of":"tea"}', speaking_for("dining-room", services=SERVICES).introduce("dining-room", "kitchen")
        signature = between.calls.sign(5, *wire.signed_parts(b"/rpc/kitchen.brew", link, 5000, b"{}", body))
        answer = await connections.ask(address, wire.request(address, b"/rpc/kitchen.brew", link, 5000, b"{}", body, between.token, signature, ""))
        assert isinstance(wire.raised(answer.body), wire.Defect)
        await connections.close()
    assert not kitchen.asked


async def test_inside_a_transaction_nobody_is_called():
    async with calling("127.0.0.1:1") as call:
        token = in_transaction.set(True)
        with pytest.raises(RuntimeError, match="inside a transaction"):
            await call(Brew("tea"))
        in_transaction.reset(token)


# ---------------------------------------------------------------- time and failure


async def test_the_callee_stops_when_the_answer_is_due():
    stopped = asyncio.Event()

    async def dawdle(_: object) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            stopped.set()

    kitchen = Kitchen()
    kitchen.does = dawdle
    async with listening(server(kitchen)) as address, calling(address) as call:
        with within(0.2), pytest.raises(Unavailable):
            await call(Smash("cup"))
        async with asyncio.timeout(20):  # left to itself it would go on for thirty seconds
            await stopped.wait()
    assert len(kitchen.asked) == 1


async def test_a_query_that_met_a_closed_door_is_sent_again():
    kitchen = Kitchen()
    async with listening(server(kitchen)) as address, calling("127.0.0.1:1", address) as call:
        for _ in range(20):
            assert (await call(Brew("tea"))).of == "tea"
    assert len(kitchen.asked) == 20


class Flaky:
    """Closes each connection in the midst of the first `times` requests."""

    def __init__(self, times: int) -> None:
        self.times, self.requests = times, 0

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        if self.requests > self.times:
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            body = b"null" if b"kitchen.brew" not in head else b'{"of":"tea"}'
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            await writer.drain()
        writer.close()


async def test_a_command_whose_arrival_is_in_doubt_is_sent_once_and_an_idempotent_one_again():
    async with Flaky(1) as address, calling(address) as call:
        with pytest.raises(Unavailable, match="ended the connection"):
            await call(Smash("cup"))
        await call(Smash("cup"))
    async with Flaky(2) as address, calling(address) as call:
        await call(Wipe())
        assert (await call(Brew("tea"))).of == "tea"


async def test_a_kitchen_that_has_no_time_is_asked_once_more_for_a_query_and_not_for_a_command():
    kitchen = Kitchen()
    kitchen.does = raising(Unavailable("no water"))
    async with listening(server(kitchen)) as address, calling(address) as call:
        with pytest.raises(Unavailable, match="no water"):
            await call(Brew("tea"))
        assert len(kitchen.asked) == 2
        with pytest.raises(Unavailable, match="no water"):
            await call(Smash("cup"))
        assert len(kitchen.asked) == 3


async def test_where_nobody_answers_that_is_said_soon_and_then_at_once():
    async with calling(f"127.0.0.1:{free_port()}") as call:
        for _ in range(5):
            with pytest.raises(Unavailable):
                await call(Brew("tea"))
        with pytest.raises(Unavailable, match="left alone for a moment"):
            await call(Brew("tea"))


async def test_who_comes_back_is_asked_again():
    kitchen, port = Kitchen(), free_port()
    async with calling(f"127.0.0.1:{port}") as call:
        for _ in range(6):
            with pytest.raises(Unavailable):
                await call(Brew("tea"))
        async with listening(server(kitchen), port):
            async with asyncio.timeout(60):
                while not kitchen.asked:
                    await asyncio.sleep(0.05)
                    with suppress(Unavailable):
                        await call(Brew("tea"))
            assert (await call(Brew("tea"))).of == "tea"


async def test_who_only_waits_for_something_to_happen_has_time_for_others():
    kitchens, done = (Kitchen(), Kitchen()), asyncio.Event()

    async def wait(message: object) -> Cup | None:
        return None if isinstance(message, LookOut) and await done.wait() else Cup("tea")

    kitchens[0].does = kitchens[1].does = wait
    async with listening(server(kitchens[0])) as one, listening(server(kitchens[1])) as other, calling(one, other) as call:
        looking = asyncio.ensure_future(call(LookOut()))
        await asyncio.sleep(0.05)
        for _ in range(40):
            await call(Brew("tea"))
        done.set()
        await looking
    assert min(len(kitchen.asked) for kitchen in kitchens) > 5


async def test_connections_are_used_again_and_many_at_a_time_each_have_their_own():
    kitchen = Kitchen()
    async with listening(server(kitchen)) as address, calling(address) as call:
        assert {cup.of for cup in await asyncio.gather(*(call(Brew(f"tea {number}")) for number in range(200)))} == {f"tea {number}" for number in range(200)}
    assert len(kitchen.asked) == 200


async def test_a_long_reply_and_a_long_request_come_through():
    kitchen, much = Kitchen(), "leaf " * 400_000
    async with listening(server(kitchen)) as address, calling(address) as call:
        assert (await call(Brew(much))).of == much


async def test_a_message_that_is_not_there_is_said():
    kitchen = Kitchen()
    async with listening(server(kitchen)) as address:
        connections, link, between = Connections(), Link(1, "web"), speaking_for("web", services=SERVICES).introduce("web", "kitchen")
        signature = between.calls.sign(5, *wire.signed_parts(b"/rpc/kitchen.sing", link, 5000, b"{}", b"{}"))
        answer = await connections.ask(address, wire.request(address, b"/rpc/kitchen.sing", link, 5000, b"{}", b"{}", between.token, signature, ""))
        error = wire.raised(answer.body)
        assert isinstance(error, DomainError)
        assert (error.status, error.code) == (404, "message.not_found")
        await connections.close()


async def test_what_a_proxy_in_between_says_is_taken_for_nobody_being_there():
    async def proxy(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"upstream connect error or disconnect/reset before headers"})

    async with listening(proxy) as address, calling(address) as call:
        with pytest.raises(Unavailable, match="upstream connect error"):
            await call(Brew("tea"))
