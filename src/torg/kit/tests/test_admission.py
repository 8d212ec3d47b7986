"""Overload: who waits, who is refused, and that it ends with the flood."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from torg.kit.auth import Identity, Role
from torg.kit.errors import Forbidden
from torg.kit.http import App, Request, Response, Route
from torg.kit.http.admission import AT_CHECKOUT, INTERVAL, LEAST, LENGTH, LOOK, SHORT, STARTS, TARGET, Admission, Urgency
from torg.kit.testing import TestClock, test_ids
from torg.kit.testing.http import ask
from torg.kit.testing.waiting import until

SLOW = SHORT * 20  # seconds that a turn of a busy loop takes


class Loop:
    """Turns and time, moved by hand; whatever is called takes `work` seconds."""

    def __init__(self) -> None:
        self.now, self.work = 0.0, SHORT * 2
        self._soon: list[Callable[[], None]] = []
        self._later: list[tuple[float, Callable[[], None]]] = []
        self.door = Admission(self._soon.append, lambda seconds, call: self._later.append((self.now + seconds, call)), lambda: self.now)
        self.begun: list[str] = []
        self.refused: list[str] = []

    def ask(self, name: str, urgency: Urgency = Urgency.BROWSING) -> None:
        if self.door.begins(urgency):
            self.begun.append(name)
        else:
            self.door.queue(urgency, lambda admitted: (self.begun if admitted else self.refused).append(name))

    def turn(self, seconds: float = SLOW) -> None:
        self.now += seconds
        due = [call for at, call in self._later if at <= self.now]
        self._later = [(at, call) for at, call in self._later if at > self.now]
        calls, self._soon[:] = [*due, *self._soon], []
        for call in calls:
            call()
            self.now += self.work

    def fill(self) -> None:
        """So many that nobody else may begin; nobody of them ends."""
        while self.door.under_way < LEAST:
            self.ask("early")
            self.turn()
        self.begun.clear()

    def flood(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            for number in range(STARTS * 4):
                self.ask(f"{number}")
            self.turn()
            while self.door.under_way:
                self.door.end()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_whoever_comes_alone_begins_at_once(loop: Loop):
    for _ in range(1000):
        loop.ask("anna")
        loop.door.end()
        loop.turn()
    assert len(loop.begun) == 1000 and not loop.refused


def test_a_burst_is_served_a_few_in_each_turn(loop: Loop):
    for number in range(STARTS * 3):
        loop.ask(str(number))
    counts = [len(loop.begun)]
    while loop.door.waiting:
        loop.turn()
        counts.append(len(loop.begun))
    assert counts == [STARTS, STARTS * 2, STARTS * 3]
    assert loop.begun == [str(number) for number in range(STARTS * 3)]


def test_the_more_urgent_go_first_and_operators_do_not_wait(loop: Loop):
    loop.fill()
    for name, urgency in (("page", Urgency.BROWSING), ("cart", Urgency.CART), ("order", Urgency.CHECKOUT), ("health", Urgency.ALWAYS)):
        loop.ask(name, urgency)
    assert loop.begun == ["health"]
    for _ in range(4):
        loop.door.end()
    loop.turn()
    assert loop.begun == ["health", "order", "cart", "page"]


def test_a_flood_of_sign_ins_leaves_half_to_those_who_look_around_and_the_other_way_round(loop: Loop):
    loop.fill()
    for number in range(STARTS * 2):
        loop.ask(f"sign in {number}", Urgency.SIGN_IN)
    for number in range(STARTS // 2):
        loop.ask(f"look {number}")
    loop.ask("put into the cart", Urgency.CART)
    for _ in range(STARTS + 1):
        loop.door.end()
    loop.turn()
    loop.turn()
    assert loop.begun[0] == "put into the cart"
    assert sum(name.startswith("look") for name in loop.begun) >= (STARTS - 1) // 2
    assert sum(name.startswith("sign in") for name in loop.begun) >= (STARTS - 1) // 2


def test_whoever_waits_in_a_queue_that_stands_is_refused_sooner_and_those_at_the_checkout_last(loop: Loop):
    loop.fill()
    loop.ask("first")
    while loop.now - loop.door._stands_since <= INTERVAL:
        loop.turn()
    loop.ask("page")
    loop.ask("order", Urgency.CHECKOUT)
    came = loop.now
    while "page" not in loop.refused:
        loop.turn()
    assert loop.refused == ["first", "page"] and TARGET < loop.now - came < INTERVAL
    while "order" not in loop.refused:
        loop.turn()
    assert loop.now - came > AT_CHECKOUT
    assert loop.door.refused == {**dict.fromkeys(Urgency, 0), Urgency.CHECKOUT: 1, Urgency.BROWSING: 2}


def test_a_long_queue_that_stands_refuses_at_once(loop: Loop):
    loop.fill()
    loop.ask("first")
    loop.turn(INTERVAL)
    for number in range(LENGTH):
        loop.ask(str(number))
    assert loop.refused == ["first"]
    loop.ask("too many")
    assert loop.refused == ["first", "too many"]


def test_a_loop_that_waits_for_others_lets_more_be_under_way(loop: Loop):
    loop.fill()
    loop.work = 0
    for number in range(LEAST):
        loop.ask(str(number))
    for _ in range(200):
        loop.turn(LOOK)
        loop.turn(SHORT / 2)
    assert len(loop.begun) == LEAST and not loop.door.waiting


def test_the_flood_over_nothing_waits_and_nobody_is_refused(loop: Loop):
    loop.flood(INTERVAL * 4)
    assert loop.refused
    while loop.door.waiting:
        loop.turn()
    loop.refused.clear()
    while loop.door.under_way:
        loop.door.end()
    for _ in range(200):
        loop.ask("anna")
        loop.turn()
        loop.door.end()
    assert not loop.refused and not loop.door.under_way


def test_metrics_tell_who_was_refused(loop: Loop):
    loop.flood(INTERVAL * 2)
    told = {(sample.name, *sample.labels.values()): sample.value for metric in loop.door.collect() for sample in metric.samples}
    assert told["torg_http_shed_total", "browsing"] == len(loop.refused) > 0
    assert told["torg_http_requests", "limit"] == LEAST


class Counter:
    """An App whose door is shut, and what got behind it."""

    def __init__(self) -> None:
        self.looked_at_tokens = self.served = 0
        self.loop = Loop()
        self.app = App(TestClock(), test_ids(), self._authenticate, admission=self.loop.door)
        routes = [("/pages", Urgency.BROWSING, "shop:read"), ("/health", Urgency.ALWAYS, "shop:read"), ("/staff", Urgency.BROWSING, "sagas:read")]
        self.app.add((Route(method="POST", path=path, endpoint=self._serve, urgency=urgency, right=right) for path, urgency, right in routes), no_handler)
        self.loop.fill()

    async def _authenticate(self, token: str) -> Identity | None:
        self.looked_at_tokens += 1
        return Identity("boris", frozenset({Role.SUPPORT}))

    async def _serve(self, _: Request) -> Response:
        self.served += 1
        if self.served > 100:
            raise Forbidden("counter.closed", "enough")
        return Response(204)

    async def until_refused(self, asking: asyncio.Task[Any]) -> None:
        while not asking.done():
            await asyncio.sleep(0)
            self.loop.turn()


def no_handler(_: object) -> Any:
    raise AssertionError("endpoints need no handler")


async def test_a_refused_request_is_told_when_to_come_back_and_costs_no_work():
    counter = Counter()
    asking = asyncio.ensure_future(ask(counter.app, "POST", "/pages", raw=b"long", authorization="Bearer boris", accept="text/html"))
    await counter.until_refused(asking)
    answer = await asking
    assert answer.status == 503 and answer.json["code"] == "service.overloaded" and answer.json["instance"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/problem+json" and int(answer.headers["retry-after"]) > 0
    assert counter.looked_at_tokens == counter.served == 0


async def test_health_and_staff_are_answered_when_nobody_else_is():
    counter = Counter()
    assert (await ask(counter.app, "POST", "/health")).status == 204
    assert (await ask(counter.app, "POST", "/staff", authorization="Bearer boris")).status == 204
    assert counter.loop.door.under_way == LEAST


async def test_a_request_whose_client_leaves_gives_its_place_back():
    counter = Counter()
    leaving = [asyncio.ensure_future(ask(counter.app, "POST", "/pages")) for _ in range(2)]
    await asyncio.sleep(0)
    leaving[0].cancel()
    await asyncio.sleep(0)
    counter.loop.door.end()
    counter.loop.door.end()
    counter.loop.turn()
    leaving[1].cancel()  # it may begin, and does not any more
    await asyncio.gather(*leaving, return_exceptions=True)
    assert counter.served == 0 and counter.loop.door.under_way == LEAST - 2


async def test_many_at_once_are_all_served_by_a_loop_that_keeps_up():
    app = App(TestClock(), test_ids(), lambda _: asyncio.sleep(0), admission=Admission.of_this_loop())

    async def serve(_: Request) -> Response:
        await asyncio.sleep(0.001)
        return Response(204)

    app.add([Route(method="POST", path="/pages", endpoint=serve, right="shop:read")], no_handler)
    answers = await asyncio.gather(*(ask(app, "POST", "/pages") for _ in range(300)))
    assert {answer.status for answer in answers} == {204}
    assert app.admission is not None and app.admission.under_way == app.admission.waiting == 0


async def test_whoever_has_yet_to_send_a_body_takes_nobodys_place():
    door, sent, began = Admission.of_this_loop(), asyncio.Event(), list[str]()

    async def read(request: Request) -> Response:
        began.append("reads")
        return Response(200, await request.body())

    app = App(TestClock(), test_ids(), lambda _: asyncio.sleep(0), admission=door)
    app.add([Route(method="POST", path="/pages", endpoint=read, right="shop:read")], no_handler)

    async def receive() -> Any:
        await sent.wait()
        return {"type": "http.request", "body": b"12345", "more_body": False}

    answers: list[Any] = []

    async def send(message: Any) -> None:
        answers.append(message)

    scope = {"type": "http", "method": "POST", "path": "/pages", "query_string": b"", "headers": [], "client": ("192.0.2.1", 1)}
    asking = [asyncio.ensure_future(app(scope, receive, send)) for _ in range(STARTS)]
    await until(lambda: len(began) == STARTS)
    assert door.under_way == 0
    sent.set()
    await asyncio.gather(*asking)
    assert door.under_way == 0
    assert [message["body"] for message in answers if "body" in message] == [b"12345"] * STARTS
