"""Who is let in where a fleet speaks TLS, on real sockets: those whose keys are known, for as long as their certificates are good, and nobody else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from torg.kit import values
from torg.kit.ports import free_port
from torg.kit.rpc.entry import HANDSHAKE
from torg.kit.rpc.http import Answer, Broken, Connections, Unreachable
from torg.kit.rpc.identity import Keys, StaticKeys
from torg.kit.rpc.key_files import KeyFolder, make_missing, rotate
from torg.kit.rpc.serving import Serving
from torg.kit.rpc.tests.house import SERVICES, Kitchen, calling, server
from torg.kit.rpc.tests.kitchen import Brew
from torg.kit.rpc.tls import LIVES, NOTICED, Tls
from torg.kit.testing import TestClock
from torg.kit.testing.identities import pair_of, static_keys
from torg.kit.testing.waiting import until
from torg.kit.values import Clock

ASK = b"GET /%b HTTP/1.1\r\nhost: kitchen\r\n\r\n"
FIRST = "its first one: maybe it believes none of the keys of who asks"


class Hearing:
    """An application that notes what comes, and says so."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.more = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.heard.append(scope["path"])
        body, message = b"", {"more_body": True}
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/stream":
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await self.more.wait()
        await send({"type": "http.response.body", "body": b"%d" % len(body)})


def later(by: timedelta) -> Clock:
    return lambda: values.utc_now() + by


def tls_of(*here: str, keys: Keys | None = None, clock: Clock = values.utc_now) -> Tls:
    return Tls(keys or static_keys(SERVICES, here), here, clock)


@asynccontextmanager
async def listening(application: Any, tls: Tls | None) -> AsyncIterator[str]:
    port = free_port()
    serving = Serving(application, "127.0.0.1", port, tls=tls)
    await serving.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await serving.stop(1)


@asynccontextmanager
async def connected(tls: Tls | None) -> AsyncIterator[Connections]:
    connections = Connections(tls)
    try:
        yield connections
    finally:
        await connections.close()


async def asked(tls: Tls | None, address: str, service: str = "kitchen") -> Answer:
    async with connected(tls) as connections:
        return await connections.ask(address, ASK % b"tea", service)


async def told(entries: Sequence[Any]) -> str:
    """What the port says of who was not let in."""

    async def something() -> str:
        return next((entry["detail"] for entry in entries if entry.get("code") == "tls.unknown"), "")

    return await until(something, "the port tells of it", 10)


async def test_services_that_know_each_other_speak_tls_of_this_day():
    hearing = Hearing()
    async with listening(hearing, tls_of("kitchen")) as address, connected(tls_of("web")) as connections:
        connection = await connections.take(address, "kitchen")
        connection.send(ASK % b"tea")
        assert (await connection.whole()).status == 200
        about = connection._transport.get_extra_info("ssl_object")
        assert (about.version(), about.getpeercert()["subjectAltName"]) == ("TLSv1.3", (("DNS", "kitchen"),))
        connections.give_back(connection)
        assert await connections.take(address, "kitchen") is connection
    assert hearing.heard == ["/tea"]


@pytest.mark.parametrize(
    ("caller", "service", "says", "hears"),
    [
        pytest.param(tls_of("web", keys=StaticKeys({"web": (pair_of("web", 2),)}, static_keys(SERVICES, ()).public)), "kitchen", FIRST,
                     "it shows no certificate of the fleet that is believed here", id="a key of its own"),
        pytest.param(tls_of("stranger"), "kitchen", FIRST, "it shows no certificate of the fleet that is believed here", id="a service that is not known"),
        pytest.param(tls_of("web", clock=later(-LIVES * 2)), "kitchen", FIRST, "certificate has expired", id="a certificate of the day before yesterday"),
        pytest.param(tls_of("web", clock=later(LIVES)), "kitchen", FIRST, "certificate is not yet valid", id="a certificate of tomorrow"),
        pytest.param(tls_of("web"), "gateway", "it is not gateway, or believes none", "it seeks a service that is not here", id="somebody else is sought"),
    ],
)  # fmt: skip
async def test_who_is_not_of_the_fleet_hears_nothing(caller: Tls, service: str, says: str, hears: str):
    hearing = Hearing()
    with structlog.testing.capture_logs() as entries:
        async with listening(hearing, tls_of("kitchen")) as address:
            with pytest.raises((Broken, Unreachable), match=says):
                await asked(caller, address, service)
            assert hears in await told(entries)
    assert hearing.heard == []


async def test_who_shows_no_certificate_hears_nothing():
    hearing, context = Hearing(), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with structlog.testing.capture_logs() as entries:
        async with listening(hearing, tls_of("kitchen")) as address:
            host, _, port = address.partition(":")
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="kitchen")
            writer.write(ASK % b"tea")
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                assert await reader.readexactly(1)
            writer.close()
            assert await told(entries) == "it shows no certificate"
    assert hearing.heard == []


async def test_what_is_older_than_tls_1_3_is_not_spoken():
    hearing, context = Hearing(), tls_of("web").to("kitchen")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with structlog.testing.capture_logs() as entries:
        async with listening(hearing, tls_of("kitchen")) as address:
            host, _, port = address.partition(":")
            with pytest.raises(OSError, match=r"(?i)protocol|reset|closed|eof|^$"):
                await asyncio.open_connection(host, int(port), ssl=context, server_hostname="kitchen")
            assert "UNSUPPORTED_PROTOCOL" in (await told(entries)).upper().replace(" ", "_")
    assert hearing.heard == []


async def test_who_speaks_plain_http_is_told_what_is_spoken_here():
    hearing = Hearing()
    with structlog.testing.capture_logs() as entries:
        async with listening(hearing, tls_of("kitchen")) as address:
            answer = await asked(None, address)
            assert (answer.status, b"this port speaks TLS, with the services of its fleet alone (TORG_TLS)" in answer.body) == (400, True)
            assert await told(entries) == "it does not speak TLS"
    assert hearing.heard == []


async def test_who_says_nothing_holds_up_nobody():
    async with listening(Hearing(), tls_of("kitchen")) as address:
        host, _, port = address.partition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(20)]
        async with asyncio.timeout(HANDSHAKE / 2):
            assert (await asked(tls_of("web"), address)).status == 200
        for _, writer in silent:
            writer.close()


async def test_an_impostor_at_a_services_address_gets_to_read_nothing():
    hearing, impostors = Hearing(), [
        (tls_of("gateway"), "it is not kitchen"),
        (tls_of("kitchen", keys=StaticKeys({"kitchen": (pair_of("kitchen", 2),)}, static_keys(SERVICES, ()).public)), "it shows no certificate of kitchen"),
        (tls_of("kitchen", keys=StaticKeys({"kitchen": (pair_of("gateway"),)}, static_keys(SERVICES, ()).public)), "it shows no certificate of kitchen"),
        (tls_of("kitchen", clock=later(-LIVES * 2)), "certificate has expired"),
        (None, "it does not speak TLS: TORG_TLS is to be the same in all processes"),
    ]  # fmt: skip
    for impostor, says in impostors:
        async with listening(hearing, impostor) as address:
            with pytest.raises(Unreachable, match=says):
                await asked(tls_of("web"), address)
    assert hearing.heard == []


async def test_calls_go_through_and_a_caller_without_tls_is_told():
    kitchen = Kitchen()
    async with listening(server(kitchen), tls_of("kitchen")) as address:
        async with calling(address, tls=tls_of("web")) as call:
            assert (await call(Brew("tea"))).of == "tea"
        async with calling(address) as call:
            with pytest.raises(Exception, match="this port speaks TLS"):
                await call(Brew("tea"))
    assert kitchen.asked == [Brew("tea")]


async def test_large_bodies_and_streams_pass_piece_by_piece():
    hearing = Hearing()
    async with listening(hearing, tls_of("kitchen")) as address, connected(tls_of("web")) as connections:
        body = bytes(5_000_000)
        answer = await connections.ask(address, b"POST /all HTTP/1.1\r\nhost: kitchen\r\ncontent-length: %d\r\n\r\n" % len(body) + body, "kitchen")
        assert answer.body == b"%d" % len(body)
        connection = await connections.take(address, "kitchen")
        connection.send(ASK % b"stream")
        assert (await connection.head()).status == 200
        chunks = connection.chunks()
        assert await anext(chunks) == b"one"
        hearing.more.set()
        assert await anext(chunks) == b"0"
        connections.give_back(connection)


async def test_one_process_of_two_services_is_each_to_who_seeks_it():
    async with listening(Hearing(), tls_of("kitchen", "dining-room")) as address, connected(tls_of("web")) as connections:
        first = await connections.take(address, "kitchen")
        second = await connections.take(address, "dining-room")
        names = [connection._transport.get_extra_info("ssl_object").getpeercert()["subject"][0][0][1] for connection in (first, second)]
        assert names == ["kitchen", "dining-room"]


async def test_a_new_key_is_shown_once_everybody_has_heard_of_it_and_no_request_fails(tmp_path: Path):
    """Each service reads the files for itself, as where they run apart."""
    services, ahead = ("kitchen", "web"), [timedelta()]
    make_missing(tmp_path, services, values.randomness)
    clock: Clock = lambda: values.utc_now() + ahead[0]  # noqa: E731
    folders = {name: KeyFolder(tmp_path, (name,)) for name in services}
    kitchen, web = (Tls(folders[name], (name,), clock) for name in services)
    async with listening(Hearing(), kitchen) as address:
        for _ in range(3):
            before, seen = await _issuer(web, address), (kitchen.version, web.version)
            for service in services:
                rotate(tmp_path, service, values.randomness)
            assert await _issuer(web, address) == before, "neither has heard of it"
            await _heard(web, seen[1])
            assert await _issuer(web, address) == before, "who asks has"
            await _heard(kitchen, seen[0])
            assert await _issuer(web, address) == before, "both have, and others may not"
            ahead[0] += NOTICED
            assert await _issuer(web, address) == f"kitchen {folders['kitchen'].own('kitchen')[0].public.id}"


async def test_keys_that_somebody_may_know_are_changed_at_once(tmp_path: Path):
    services = ("kitchen", "web")
    make_missing(tmp_path, services, values.randomness)
    kitchen, web = (Tls(KeyFolder(tmp_path, (name,)), (name,), values.utc_now) for name in services)
    async with listening(Hearing(), kitchen) as address:
        before = await _issuer(web, address)
        for service in services:
            rotate(tmp_path, service, values.randomness, drop=True)

        async def another() -> bool:
            web.look()
            try:
                return await _issuer(web, address) != before
            except (Broken, Unreachable):  # as long as one of them has not looked
                return False

        await until(another, "both have looked")


async def test_a_connection_is_not_used_again_once_a_key_has_changed(tmp_path: Path):
    services = ("kitchen", "web")
    make_missing(tmp_path, services, values.randomness)
    kitchen, web = (Tls(KeyFolder(tmp_path, (name,)), (name,), values.utc_now) for name in services)
    async with listening(Hearing(), kitchen) as address, connected(web) as connections:
        first = await connections.take(address, "kitchen")
        first.send(ASK % b"tea")
        await first.whole()
        connections.give_back(first)
        before = web.version
        rotate(tmp_path, "kitchen", values.randomness)
        await _heard(web, before)
        assert await connections.take(address, "kitchen") is not first
        assert first.lost


async def _heard(tls: Tls, version: int) -> None:
    """Looks are some time apart."""

    async def looked() -> bool:
        return tls.look() or tls.version != version

    await until(looked, "the change is seen")


async def _issuer(tls: Tls, address: str) -> str:
    """Whose key vouches for the kitchen's certificate."""
    async with connected(tls) as connections:
        connection = await connections.take(address, "kitchen")
        connection.send(ASK % b"tea")
        assert (await connection.whole()).status == 200
        return str(connection._transport.get_extra_info("ssl_object").getpeercert()["issuer"][0][0][1])


async def test_who_has_lost_its_key_is_let_in_no_more(tmp_path: Path):
    services = ("kitchen", "web")
    make_missing(tmp_path, services, values.randomness)
    kitchen, thief = (Tls(KeyFolder(tmp_path, (name,)), (name,), values.utc_now) for name in services)
    pairs = KeyFolder(tmp_path, ("web",)).own("web")
    async with listening(Hearing(), kitchen) as address:
        assert (await asked(thief, address)).status == 200
        rotate(tmp_path, "web", values.randomness, drop=True)
        old = Tls(StaticKeys({"web": pairs}, {"kitchen": KeyFolder(tmp_path, ("kitchen",)).known("kitchen")}), ("web",), values.utc_now)

        async def refused() -> bool:
            try:
                await asked(old, address)
            except Broken:
                return True
            return False

        await until(refused, "the port has looked at the keys")


async def test_a_certificate_is_made_anew_before_it_ends():
    clock = TestClock()
    tls = tls_of("web", clock=clock)
    first = tls.to("kitchen")
    clock.advance(seconds=LIVES.total_seconds() * 0.4)
    assert tls.to("kitchen") is first
    clock.advance(seconds=LIVES.total_seconds() * 0.2)
    assert tls.to("kitchen") is not first
