"""What people are told: live, in their feed, by letter; once, and in their language."""

from __future__ import annotations

import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import aiohttp
import pytest

from tests.shop import Shop, Visitor, until
from tests.shop.people import Buyer, deliver
from tests.shop.streams import listening

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_the_stream_tells_each_change_of_an_order_once_and_in_order(shop: Shop):
    anna = await shop.buyer()
    order_id = await anna.order(shop.product())
    seen: list[str] = []
    async with listening(shop, anna, f"/orders/{order_id}/stream") as stream:
        while seen[-1:] != ["confirmed"]:
            _, event, data = await stream.next()
            assert (event, data["order_id"]) == ("order.status", order_id)
            seen.append(data["status"])
        assert seen == ["pending", "reserved", "paid", "confirmed"]
        await anna.cancel(order_id)
        assert (await stream.next())[2]["status"] == "cancelling"
        assert (await stream.next())[2]["status"] == "cancelled"


async def test_a_stream_resumes_behind_what_was_seen(shop: Shop):
    anna = await shop.buyer()
    order_id = await anna.bought(shop.product())
    async with listening(shop, anna, f"/orders/{order_id}/stream") as stream:
        told = [await stream.next() for _ in range(4)]
    async with listening(shop, anna, f"/orders/{order_id}/stream", after=told[1][0]) as stream:
        assert [await stream.next(), await stream.next()] == told[2:]


async def test_a_stream_is_its_owners(shop: Shop):
    anna, thief = await shop.buyer(), await shop.buyer(0)
    order_id = await anna.order(shop.product())
    for headers, status in (({}, 401), ({"authorization": f"Bearer {thief.token}"}, 404)):
        async with aiohttp.ClientSession() as browser, browser.get(f"{shop.address}/api/v1/orders/{order_id}/stream", headers=headers) as reply:
            assert reply.status == status


async def test_the_feed_tells_of_an_orders_way_in_the_readers_language(shop: Shop):
    anna, courier = await shop.buyer(), await shop.staff("courier")
    order_id = await anna.bought(shop.product())
    await deliver(courier, anna, order_id)
    wanted = {"order.placed", "order.confirmed", "order.shipped", "order.delivered"}

    async def told() -> Any:
        feed = (await anna.get("/notifications")).json
        return feed if wanted <= {entry["kind"] for entry in feed["items"]} else None

    feed = await until(told, "the feed tells of all of it")
    about = [entry for entry in feed["items"] if entry["order_id"] == order_id]
    assert len(about) == len({entry["kind"] for entry in about}), "nothing is told twice"
    anna.headers["accept-language"] = "ru"
    in_russian = {entry["id"]: entry["title"] for entry in (await anna.get("/notifications")).json["items"]}
    assert all(any("а" <= letter <= "я" for letter in in_russian[entry["id"]].lower()) for entry in about)
    assert all(in_russian[entry["id"]] != entry["title"] for entry in about)


async def test_what_was_read_stays_read(shop: Shop):
    anna, thief = await shop.buyer(), await shop.buyer(0)
    await anna.bought(shop.product())
    await until(lambda: _unread(anna, at_least=2), "there is something to read")
    await shop.settle()
    feed = (await anna.get("/notifications")).json
    first = feed["items"][0]["id"]
    assert (await thief.post(f"/notifications/{first}/read")).status == 404
    assert (await anna.post(f"/notifications/{first}/read")).status == 200
    assert (await anna.post(f"/notifications/{first}/read")).json["unread"] == feed["unread"] - 1
    assert (await anna.post("/notifications/read-all")).json["unread"] == 0


async def test_the_feed_is_live_too(shop: Shop):
    anna = await shop.buyer()
    await shop.settle()
    async with listening(shop, anna, "/notifications/stream", after="0") as stream:
        order_id = await anna.order(shop.product())
        told = []
        while "order.confirmed" not in told:
            _, event, data = await stream.next()
            assert event == "notification"
            told.append(data["kind"])
            assert data["order_id"] in (order_id, None)
    assert len(told) == len(set(told))


async def test_each_kind_of_letter_comes_once_for_an_order(shop: Shop):
    anna, courier = await shop.buyer(), await shop.staff("courier")
    kept, cancelled = await anna.bought(shop.product()), await anna.bought(shop.product())
    await deliver(courier, anna, kept)
    await anna.cancel(cancelled)
    await anna.sees(cancelled, "cancelled")
    await until(lambda: _letters(shop, anna, at_least=6), "the letters are sent")
    await shop.settle()
    letters = await _letters(shop, anna)
    subjects = [str(letter["subject"]) for letter in letters]
    assert len(subjects) == len(set(subjects)), f"a letter came twice: {subjects}"
    about_kept = [letter for letter in letters if kept in _text(letter)]
    assert len(about_kept) >= 3, "confirmed, shipped, delivered"


async def test_who_wants_no_letter_of_a_kind_gets_none_but_what_the_sale_requires(shop: Shop):
    anna, courier = await shop.buyer(), await shop.staff("courier")
    unwanted = {"items": [{"kind": "order.shipped", "channel": "email", "enabled": False}]}
    assert (await anna.put("/notifications/preferences", unwanted)).status == 200
    required = {"items": [{"kind": "order.confirmed", "channel": "email", "enabled": False}]}
    assert (await anna.put("/notifications/preferences", required)).status == 422
    order_id = await anna.bought(shop.product())
    await deliver(courier, anna, order_id)
    await until(lambda: _has_letter(shop, anna, "order.delivered"), "the letter of delivery is sent")
    assert await _has_letter(shop, anna, "order.confirmed")
    assert not await _has_letter(shop, anna, "order.shipped")


async def test_nobody_reads_anothers_letters(shop: Shop):
    anna, thief = await shop.buyer(), await shop.buyer(0)
    await anna.bought(shop.product())
    await until(lambda: _in_mailbox(shop, anna, anna.email), "a letter is sent")
    assert not await _in_mailbox(shop, thief, anna.email)


async def _in_mailbox(shop: Shop, buyer: Buyer, word: str) -> bool:
    return word in (await Visitor(shop, buyer.token, prefix="").get("/mailbox")).body.decode()


async def _unread(buyer: Buyer, at_least: int) -> bool:
    return bool((await buyer.get("/notifications")).json["unread"] >= at_least)


async def _letters(shop: Shop, buyer: Buyer, at_least: int = 0) -> list[EmailMessage]:
    """What was sent to a buyer, as their mailbox shows it; none as long as there are fewer."""
    outside = Visitor(shop, buyer.token, prefix="")
    ids = set(re.findall(r'href="/mailbox/([0-9a-f-]{36})"', (await outside.get("/mailbox")).body.decode()))
    sources = [await outside.get(f"/mailbox/{id_}/source") for id_ in ids]
    found = [message_from_bytes(source.body, policy=policy.default) for source in sources if source.status == 200]
    assert all(buyer.email in str(letter["to"]) for letter in found)
    return found if len(found) >= at_least else []


async def _has_letter(shop: Shop, buyer: Buyer, kind: str) -> bool:
    rows = await (await shop.store("notification")).database.all("select kind from mail where user_id = :user and status = 'sent'", user=buyer.user_id)
    return kind in {row["kind"] for row in rows}


def _text(letter: EmailMessage) -> str:
    body = letter.get_body(("plain",))
    assert body is not None
    return str(body.get_content())
