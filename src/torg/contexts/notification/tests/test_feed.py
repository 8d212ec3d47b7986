"""What people find in their feeds: told once, in their language, live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest

from torg.contexts.inventory.contracts import LowStock
from torg.contexts.notification import contracts as c
from torg.contexts.notification.handlers import REACTIONS, tell_stranded
from torg.contexts.notification.tests.house import ANNA, BORIS, REGISTRY, House, confirmed, placed, refunded, registered
from torg.contexts.order import contracts as order
from torg.contexts.payment.contracts import PaymentRedirected
from torg.contexts.review.contracts import ReviewRejected
from torg.contexts.user.contracts import RolesChanged, UserErased
from torg.kit.bus import BusConsumer, Consumer, LogFeed
from torg.kit.errors import Invalid, NotFound
from torg.kit.messages import Envelope, Event
from torg.kit.module import bound
from torg.kit.testing import open_store
from torg.kit.testing.http import ask
from torg.kit.values import Language, Money

API = "/api/v1"


async def first(rows: AsyncIterator[Envelope], count: int) -> AsyncIterator[Envelope]:
    for _ in range(count):
        yield await anext(rows)


async def test_an_orders_way_is_told_newest_first_in_the_readers_language(house: House) -> None:
    await house.hear(registered(), placed(), confirmed(), order.OrderShipped(order_id="order-1", user_id="anna", tracking_number="TR-1"))
    entries = await house.feed()
    assert [entry.kind for entry in entries] == ["order.shipped", "order.confirmed", "order.placed"]
    assert {entry.order_id for entry in entries} == {"order-1"}
    assert "TR-1" in entries[0].text
    assert (await house.feed(language=Language.RU))[1].title.startswith("Заказ")


async def test_a_welcome_is_for_those_who_came_themselves(house: House) -> None:
    await house.hear(registered("anna", self_made=True), registered("boris", self_made=False))
    assert [entry.kind for entry in await house.feed(ANNA)] == ["user.registered"]
    assert await house.feed(BORIS) == []


async def test_whatever_is_delivered_twice_is_told_once(house: House, tmp_path: Path) -> None:
    async with open_store(tmp_path, "order", house.clock, REGISTRY) as orders:
        async with orders.transaction() as tx:
            await tx.append("order-1", [placed(), confirmed()])
        consumer = BusConsumer(
            Consumer("notification", bound(REACTIONS, house.deps)), house.deps.store, LogFeed({"order": orders.log}), REGISTRY, loopback=True
        )
        task = asyncio.create_task(consumer.run())
        async with asyncio.timeout(60):
            told = [row.version async for row in first(house.deps.store.log.follow("anna", 0), 2)]
        task.cancel()
    assert told == [1, 2]
    await house.hear(registered(), placed(), confirmed())
    assert [entry.kind for entry in await house.feed()] == ["order.confirmed", "order.placed"]
    await house.send()
    assert [letter.to for letter in house.mailer.letters] == ["anna@example.com"]


async def test_a_refund_that_is_heard_of_before_its_order_is_told_after_it(house: House) -> None:
    redirected = PaymentRedirected(order_id="order-1", payment_id="pay-1", redirect_url="https://pay.example/1")
    await house.hear(refunded(), refunded(), redirected)
    assert await house.feed() == []
    await house.hear(placed())
    assert sorted(entry.kind for entry in await house.feed()) == ["order.placed", "payment.redirected", "payment.refunded"]
    await house.hear(refunded())
    assert len(await house.feed()) == 3


async def test_a_payment_that_was_heard_of_in_the_same_moment_as_its_order_is_told_later(house: House) -> None:
    """Of two processes, neither sees what the other has not committed yet."""
    redirected = PaymentRedirected(order_id="order-1", payment_id="pay-1", redirect_url="https://pay.example/1")
    await house.hear(placed())
    async with house.deps.transaction() as tx:
        await house.deps.feed.keep_early(tx, "order-1", redirected)
        await house.deps.feed.keep_early(tx, "order-2", redirected)
    for _ in range(2):
        await tell_stranded(house.deps)
    assert sorted(entry.kind for entry in await house.feed()) == ["order.placed", "payment.redirected"]
    assert await house.deps.store.database.value("select count(*) from early") == 1, "the other order has not been heard of"


async def test_an_empty_refund_is_not_news(house: House) -> None:
    await house.hear(placed(), refunded(amount=0))
    assert [entry.kind for entry in await house.feed()] == ["order.placed"]


async def test_two_returns_of_one_order_are_two_stories(house: House) -> None:
    asked = [
        order.ReturnRequested(
            order_id="order-1", user_id="anna", return_id=f"return-{n}", lines=(order.ReturnLine("p1", 1),), refund=Money(500, "RUB"), reason="small"
        )
        for n in (1, 2)
    ]
    await house.hear(placed(), *asked, *asked)
    assert [entry.kind for entry in await house.feed()] == ["order.return_requested"] * 2 + ["order.placed"]


@pytest.mark.parametrize(
    "event",
    [
        order.OrderDelivered(order_id="order-1", user_id="anna", product_ids=("p1",)),
        order.OrderRejected(order_id="order-1", user_id="anna", reason="too little in stock"),
        order.OrderCancelled(order_id="order-1", user_id="anna", reason="cancelled as asked", was_sale=True),
        order.CancellationFailed(order_id="order-1", user_id="anna", reason="it was handed over"),
        order.OrderReturned(order_id="order-1", user_id="anna", return_id="r", lines=(), refund=Money(500, "RUB"), whole=True),
        order.ReturnFailed(order_id="order-1", user_id="anna", return_id="r", reason="not at home"),
        ReviewRejected(review_id="review-1", product_id="p1", user_id="anna", reason="it is an advertisement"),
    ],
)
async def test_each_end_of_a_story_is_told(house: House, event: Event) -> None:
    await house.hear(event)
    assert [entry.kind for entry in await house.feed()] == [event.NAME]


async def test_the_warehouse_hears_of_scarce_products_once_a_day(house: House) -> None:
    low = LowStock(product_id="p1", available=2, alert_below=5)
    await house.hear(registered("anna"), registered("boris"), RolesChanged("boris", ("warehouse",)), low, low)
    assert await house.feed(ANNA) == []
    assert [entry.title for entry in await house.feed(BORIS)] == ["Product p1 is running out"]
    house.clock.advance(days=1)
    await house.hear(low)
    assert len(await house.feed(BORIS)) == 2


async def test_reading_counts_down_what_is_unread_and_only_ones_own(house: House) -> None:
    await house.hear(placed(), confirmed(), placed("order-2", "boris"))
    newest, oldest = await house.feed()
    assert await house.do(c.MarkRead(newest.id, ANNA)) == c.Unread(1)
    assert await house.do(c.MarkRead(newest.id, ANNA)) == c.Unread(1)
    assert [entry.read for entry in await house.feed()] == [True, False]
    with pytest.raises(NotFound):
        await house.do(c.MarkRead(oldest.id, BORIS))
    assert await house.do(c.MarkAllRead(ANNA)) == c.Unread(0)
    assert (await house.do(c.ListNotifications(reader=BORIS, language=Language.EN))).unread == 1


async def test_pages_neither_repeat_nor_skip(house: House) -> None:
    await house.hear(*(placed(f"order-{n}") for n in range(7)))
    seen, cursor = list[str | None](), ""
    while True:
        page = await house.do(c.ListNotifications(reader=ANNA, language=Language.EN, limit=3, cursor=cursor))
        seen += [entry.order_id for entry in page.items]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert seen == [f"order-{n}" for n in range(6, -1, -1)]
    with pytest.raises(Invalid):
        await house.do(c.ListNotifications(reader=ANNA, language=Language.EN, cursor="nonsense"))


async def test_what_is_not_about_an_order_can_be_switched_off_in_the_feed(house: House) -> None:
    rejected = ReviewRejected(review_id="review-1", product_id="p1", user_id="anna", reason="it is an advertisement")
    await house.do(c.ChangePreferences(ANNA, (c.Preference(kind="review.rejected", channel="feed", enabled=False),)))
    await house.hear(rejected)
    assert await house.feed() == []


async def test_preferences_are_kept_and_firm_ones_refused_all_at_once(house: House) -> None:
    off = c.Preference(kind="order.shipped", channel="email", enabled=False)
    after = await house.do(c.ChangePreferences(ANNA, (off, c.Preference(kind="order.confirmed", channel="email", enabled=True))))
    assert {(p.kind, p.channel) for p in after.items if not p.enabled} == {("order.shipped", "email")}
    assert await house.do(c.ChangePreferences(ANNA, after.items)) == after
    firm = (
        c.Preference(kind="order.confirmed", channel="email", enabled=False), off, c.Preference(kind="order.placed", channel="feed", enabled=False)
    )  # fmt: skip
    with pytest.raises(Invalid) as refusal:
        await house.do(c.ChangePreferences(BORIS, firm))
    assert [error.field for error in refusal.value.errors] == ["items[0].enabled", "items[2].enabled"]
    assert all(p.enabled for p in (await house.do(c.GetPreferences(BORIS))).items)


async def test_an_erased_persons_feed_says_nothing_any_more(house: House) -> None:
    await house.hear(registered(), placed(), confirmed(), UserErased("anna"))
    database = house.deps.store.database
    left = [row["facts"] for row in await database.all("select facts from notification")]
    logged = [row["data"] for row in await database.all("select data from log")]
    assert left == ["{}", "{}"]
    assert not [text for text in logged if "Pizza" in text or "129050" in text]


# ---------------------------------------------------------------- live


class Stream:
    """A reader of the feed's live stream, who goes away when it is left."""

    def __init__(self, house: House, **headers: str) -> None:
        self.events: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.opened, self._gone = asyncio.Event(), asyncio.Event()
        sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "http", "method": "GET", "path": f"{API}/notifications/stream", "query_string": b"", "headers": sent, "client": ("t", 1)}
        self._task = asyncio.create_task(house.app(scope, self._receive, self._send))

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(60):
            await self.opened.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        await self._task

    async def next(self) -> dict[str, str]:
        async with asyncio.timeout(60):
            return await self.events.get()

    async def _receive(self) -> dict[str, str]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, object]) -> None:
        body = message.get("body", b"")
        assert isinstance(body, bytes)
        if body.startswith(b":"):
            await asyncio.sleep(0.01)  # it begins to follow right behind its welcome
            self.opened.set()
        elif body:
            self.events.put_nowait(dict(part.split(": ", 1) for part in body.decode().strip().split("\n")))


async def test_a_stream_tells_what_comes_and_resumes_where_it_broke_off(house: House) -> None:
    await house.hear(placed())
    async with Stream(house, authorization="Bearer anna") as live:
        await house.hear(confirmed(), placed("order-2", "boris"))
        first = await live.next()
    assert (first["event"], first["id"]) == ("notification", "2")
    assert "order.confirmed" in first["data"]
    await house.hear(order.OrderShipped(order_id="order-1", user_id="anna", tracking_number="TR-1"))
    async with Stream(house, authorization="Bearer anna", last_event_id=first["id"], accept_language="ru") as again:
        missed = await again.next()
        assert (missed["id"], "Заказ" in missed["data"]) == ("3", True)
        assert again.events.empty()
    async with Stream(house, authorization="Bearer anna", last_event_id="0") as whole:
        assert [(await whole.next())["id"] for _ in range(3)] == ["1", "2", "3"]


async def test_a_feed_is_for_who_has_signed_in(house: House) -> None:
    for path in ("/notifications", "/notifications/stream", "/notifications/preferences"):
        assert (await ask(house.app, "GET", f"{API}{path}")).status == 401


async def test_preferences_over_http_go_back_as_they_came(house: House) -> None:
    mine = await ask(house.app, "GET", f"{API}/notifications/preferences", authorization="Bearer anna")
    back = await ask(house.app, "PUT", f"{API}/notifications/preferences", mine.json, authorization="Bearer anna")
    assert (back.status, back.json) == (200, mine.json)
    strange = {"items": [{"kind": "no.such", "channel": "feed", "enabled": True}]}
    unknown = await ask(house.app, "PUT", f"{API}/notifications/preferences", strange, authorization="Bearer anna")
    assert unknown.status == 422
