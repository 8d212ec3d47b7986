"""The acquirer by HTTP: the merchant's API, the buyer's pages, webhooks, and faults."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path

from torg.acquirer.beside import beside
from torg.acquirer.cards import TEST_CARDS, Behaviour
from torg.acquirer.faults import Faults
from torg.acquirer.tests.acquirer_setup import SECRET, SHOP, an_acquirer
from torg.kit.secrets import kept_secret


async def test_only_the_merchant_may_use_the_api(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        for method, path in (("GET", "/books"), ("POST", "/sessions"), ("PUT", "/faults"), ("POST", "/payments/1/refunds")):
            assert (await world.api(method, path, secret="guess")).status == 401


async def test_a_session_is_opened_once_for_a_reference(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        first, again = await world.session(), await world.session()
        assert first == again
        assert first["url"] == f"{SHOP}/acquirer/pay/{first['id']}"
        body = {"reference": "payment-1", "amount": {"amount": 1, "currency": "USD"}, "return_url": SHOP}
        assert (await world.api("POST", "/sessions", body)).json["code"] == "charge.other_amount"
        assert (await world.api("POST", "/sessions", body, idempotency_key="payment-1")).status == 422
        assert (await world.api("POST", "/sessions", {**body, "amount": {"amount": 0, "currency": "USD"}, "return_url": "x"})).status == 422


async def test_a_good_card_is_authorized_and_the_browser_goes_back_to_the_shop(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        answer = await world.pay(id)
        assert (answer.status, answer.headers["location"]) == (303, f"{SHOP}/orders/1")
        charge = await world.charge(id)
        assert (charge["status"], charge["card"], charge["captured"]["amount"]) == ("authorized", "4242", 0)


async def test_a_payment_sent_twice_is_paid_once(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        answers = await asyncio.gather(*(world.pay(id) for _ in range(5)))
        assert sorted(answer.status for answer in answers) == [200, 200, 200, 200, 303]
        await world.acquirer.notices.deliver()
        assert len(world.merchant.taken) == 1


async def test_a_refused_card_fails_the_payment(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        assert (await world.pay(id, TEST_CARDS[Behaviour.REFUSAL])).status == 303
        assert (await world.charge(id))["status"] == "failed"
        assert (await world.api("POST", f"/payments/{id}/capture")).json["code"] == "charge.not_authorized"


async def test_three_d_secure_asks_once_more(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        for reference, decision, status in (("one", "confirm", "authorized"), ("two", "deny", "failed")):
            id = (await world.session(reference))["id"]
            asked = await world.pay(id, TEST_CARDS[Behaviour.CONFIRMATION])
            assert (asked.status, b"3155" in asked.body) == (200, True)
            assert (await world.charge(id))["status"] == "confirming"
            assert b"3155" in (await world.page(id)).body
            assert (await world.send(id, decision=decision)).status == 303
            assert (await world.charge(id))["status"] == status


async def test_a_late_card_settles_by_itself_and_cannot_be_called_off_meanwhile(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        await world.pay(id, TEST_CARDS[Behaviour.LATE])
        banks = next(job for job in world.acquirer.jobs if job.name == "acquirer.banks")
        await banks.run()
        assert (await world.charge(id))["status"] == "processing"
        assert (await world.api("POST", f"/payments/{id}/void")).json["code"] == "charge.processing"
        world.clock.advance(seconds=6)
        await banks.run()
        assert (await world.charge(id))["captured"]["amount"] == 1990


async def test_a_silent_card_succeeds_without_a_word(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        await world.pay(id, TEST_CARDS[Behaviour.SILENT])
        await world.api("POST", f"/payments/{id}/capture")
        await world.acquirer.notices.deliver()
        assert (await world.charge(id))["status"] == "captured"
        assert not world.merchant.taken


async def test_a_buyer_may_leave_without_paying(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        assert (await world.send(id, decision="give_up")).status == 303
        assert (await world.charge(id))["status"] == "failed"


async def test_captures_and_voids_exclude_each_other(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        paid, left = (await world.session("one"))["id"], (await world.session("two"))["id"]
        await world.pay(paid)
        for _ in range(2):
            assert (await world.api("POST", f"/payments/{paid}/capture")).json["status"] == "captured"
            assert (await world.api("POST", f"/payments/{left}/void")).json["status"] == "voided"
        assert (await world.api("POST", f"/payments/{paid}/void")).json["code"] == "charge.captured"
        assert (await world.api("POST", f"/payments/{left}/capture")).status == 409
        assert b"called this payment off" in (await world.page(left)).body


async def test_refunds_are_made_once_and_never_exceed_what_was_captured(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        await world.pay(id)
        await world.api("POST", f"/payments/{id}/capture")

        async def refund(refund_id: str, amount: int, currency: str = "USD") -> tuple[int, object]:
            body = {"refund_id": refund_id, "amount": {"amount": amount, "currency": currency}}
            answer = await world.api("POST", f"/payments/{id}/refunds", body)
            return answer.status, answer.json.get("refunded", {}).get("amount")

        assert await refund("a", 1000) == (201, 1000)
        assert await refund("a", 1000) == (201, 1000)
        assert (await refund("b", 991))[0] == 409
        assert (await refund("b", 990, "EUR"))[0] == 409
        assert await refund("b", 990) == (201, 1990)


async def test_the_form_tells_what_is_wrong_and_keeps_no_code(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        answer = await world.pay(id, "4242 4242 4242 4241", "01/20", "987")
        text = answer.body.decode()
        assert answer.status == 422
        assert "mistyped digit" in text
        assert "has expired" in text
        assert "987" not in text
        assert (await world.charge(id))["status"] == "open"


async def test_the_page_speaks_both_languages_lists_the_cards_and_fills_one_in(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        english, russian = await world.page(id), await world.page(id, accept_language="ru")
        assert "$19.90" in english.body.decode()
        assert all(number in english.body.decode() for number in TEST_CARDS.values())
        assert "Оплатить" in russian.body.decode()
        assert 'value="4000 0000 0000 0002"' in (await world.page(id, "?card=refusal")).body.decode()
        assert "default-src 'none'" in english.headers["content-security-policy"]
        assert english.headers["content-security-policy"].endswith("; sandbox allow-forms")
        assert (await world.page("unknown")).status == 404


async def test_what_is_typed_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        answer = await world.pay(id, '"><script>alert(1)</script>')
        assert b"<script>" not in answer.body


async def test_webhooks_are_signed_over_their_time_and_body(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        await world.pay(id)
        await world.acquirer.notices.deliver()
        ((body, signature),) = world.merchant.taken
        timestamp, code = (part.partition("=")[2] for part in signature.split(","))
        assert int(timestamp) == int(world.clock().timestamp())
        assert code == hmac.new(SECRET.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        told = json.loads(body)
        assert (told["type"], told["charge"]["reference"]) == ("charge.authorized", "payment-1")
        assert b"4242 4242" not in body


async def test_webhooks_are_sent_again_until_they_are_taken(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        world.merchant.status = 500
        await world.pay((await world.session())["id"])
        await world.acquirer.notices.deliver()
        await world.acquirer.notices.deliver()
        assert len(world.merchant.taken) == 1
        world.clock.advance(seconds=1)
        world.merchant.status = 200
        for _ in range(2):
            await world.acquirer.notices.deliver()
            world.clock.advance(minutes=10)
        assert len({body for body, _ in world.merchant.taken}) == 1
        assert len(world.merchant.taken) == 2


async def test_faults_strike_as_often_as_they_were_ordered(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        assert (await world.api("PUT", "/faults", {"lost_replies": 1, "webhooks_twice": True, "wrong_signatures": 1})).status == 204
        await world.pay(id)
        assert (await world.api("POST", f"/payments/{id}/capture")).status == 503
        assert (await world.charge(id))["status"] == "captured"
        assert (await world.api("POST", f"/payments/{id}/capture")).status == 200
        await world.acquirer.notices.deliver()
        signatures = [signature for _, signature in world.merchant.taken]
        assert len(signatures) == 4
        assert signatures[0] != signatures[1]


async def test_a_webhook_can_come_before_the_reply_or_late_or_never(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        id = (await world.session())["id"]
        world.acquirer.faults.now = Faults(webhook_delay=60)
        await world.pay(id)
        await world.acquirer.notices.deliver()
        assert not world.merchant.taken
        world.acquirer.faults.now = Faults(webhook_before_reply=True)
        await world.api("POST", f"/payments/{id}/capture")
        assert [json.loads(body)["type"] for body, _ in world.merchant.taken] == ["charge.captured"]
        world.clock.advance(seconds=61)
        world.acquirer.faults.now = Faults(lost_webhooks=1)
        await world.acquirer.notices.deliver()
        assert len(world.merchant.taken) == 1


async def test_the_books_list_every_charge(tmp_path: Path) -> None:
    async with an_acquirer(tmp_path) as world:
        for reference in ("one", "two", "three"):
            await world.session(reference)
            world.clock.advance(seconds=1)
        first = (await world.api("GET", "/books?limit=2")).json
        rest = (await world.api("GET", f"/books?limit=2&cursor={first['next_cursor']}")).json
        assert [charge["reference"] for charge in first["items"] + rest["items"]] == ["one", "two", "three"]
        assert rest["next_cursor"] is None


async def test_both_live_on_one_port(tmp_path: Path) -> None:
    asked: list[str] = []

    def noting(name: str) -> object:
        async def app(scope: dict[str, str], receive: object, send: object) -> None:
            asked.append(f"{name} {scope['path']}")

        return app

    both = beside(noting("shop"), noting("acquirer"))  # type: ignore[arg-type]
    for path in ("/acquirer/books", "/acquirers", "/", "/acquirer"):
        await both({"type": "http", "path": path}, None, None)
    assert asked == ["acquirer /acquirer/books", "shop /acquirers", "shop /", "acquirer /acquirer"]


def test_the_shared_secret_is_made_once(tmp_path: Path) -> None:
    first = kept_secret(tmp_path / "new" / "secret", lambda count: bytes(range(count)))
    assert first == kept_secret(tmp_path / "new" / "secret", lambda count: b"\0" * count)
    assert (tmp_path / "new" / "secret").stat().st_mode & 0o077 == 0
