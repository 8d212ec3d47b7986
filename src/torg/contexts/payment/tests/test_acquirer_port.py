"""What every acquirer behind the port must do; the fake in memory, and the sandbox over real HTTP."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from torg.acquirer.app import open_acquirer
from torg.acquirer.faults import Faults
from torg.contexts.payment.adapters.acquirer_sandbox import SandboxAcquirer
from torg.contexts.payment.model import Charge
from torg.contexts.payment.ports import Acquirer, Refused
from torg.contexts.payment.tests.fake_acquirer import FakeAcquirer
from torg.contexts.payment.tests.payment_setup import usd
from torg.kit.errors import Malformed, Unauthenticated, Unavailable
from torg.kit.testing import START, TestClock, test_ids
from torg.kit.testing.served import serving

RETURN = "https://shop.example/orders/1"
SECRET = "a secret of tests"


@dataclass(frozen=True)
class Subject:
    """An acquirer, a buyer who pays at it, and a way to lose its next replies."""

    acquirer: Acquirer
    pay: Callable[[Charge], Awaitable[None]]
    refuse: Callable[[Charge], Awaitable[None]]
    lose: Callable[[int], None]

    async def paid(self, reference: str = "payment-1") -> Charge:
        charge = await self.acquirer.create_session(reference, usd(500), RETURN)
        await self.pay(charge)
        return charge


@pytest.fixture(params=["fake", "sandbox"])
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    if request.param == "fake":
        yield _fake()
        return
    async with serving() as (url, answer_with):
        acquirer = await open_acquirer(tmp_path, SECRET, url, f"{url}/webhooks", TestClock(), test_ids(), sync="OFF")
        answer_with(acquirer.http)
        adapter = SandboxAcquirer(acquirer.base_url, SECRET)

        def lose(count: int) -> None:
            acquirer.faults.now = Faults(lost_replies=count)

        yield Subject(adapter, _buyer("4242 4242 4242 4242"), _buyer("4000 0000 0000 0002"), lose)
        await adapter.close()
        await acquirer.close()


def _fake() -> Subject:
    fake = FakeAcquirer()

    async def pay(charge: Charge) -> None:
        fake.authorize(charge.id)

    async def refuse(charge: Charge) -> None:
        fake.refuse(charge.id)

    def lose(count: int) -> None:
        fake.lost = count

    return Subject(fake, pay, refuse, lose)


def _buyer(number: str) -> Callable[[Charge], Awaitable[None]]:
    async def pay(charge: Charge) -> None:
        form = {"number": number, "expiry": "12/30", "code": "123", "decision": "pay"}
        async with aiohttp.ClientSession() as browser, browser.post(charge.url, data=form, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["location"]) == (303, RETURN)

    return pay


async def test_a_session_is_the_same_when_asked_again(subject: Subject) -> None:
    first = await subject.acquirer.create_session("payment-1", usd(500), RETURN)
    again = await subject.acquirer.create_session("payment-1", usd(500), RETURN)
    assert first == again
    assert (first.reference, first.amount, first.status, first.captured) == ("payment-1", usd(500), "open", 0)
    assert first.url.startswith("http")
    with pytest.raises(Refused):
        await subject.acquirer.create_session("payment-1", usd(501), RETURN)


async def test_what_was_authorized_is_captured_once(subject: Subject) -> None:
    charge = await subject.paid()
    assert (await subject.acquirer.get(charge.id)).status == "authorized"
    for _ in range(2):
        taken = await subject.acquirer.capture(charge.id)
        assert (taken.status, taken.captured) == ("captured", 500)


async def test_what_was_not_paid_is_not_captured(subject: Subject) -> None:
    charge = await subject.acquirer.create_session("payment-1", usd(500), RETURN)
    assert (await subject.acquirer.capture(charge.id)).status == "open"
    await subject.refuse(charge)
    failed = await subject.acquirer.capture(charge.id)
    assert (failed.status, failed.captured, failed.reason) == ("failed", 0, "the bank refused the card")


async def test_a_charge_is_called_off_once_and_stays_so(subject: Subject) -> None:
    charge = await subject.paid()
    for _ in range(2):
        assert (await subject.acquirer.void(charge.id)).status == "failed"
    assert (await subject.acquirer.capture(charge.id)).captured == 0


async def test_what_was_captured_cannot_be_called_off(subject: Subject) -> None:
    charge = await subject.paid()
    await subject.acquirer.capture(charge.id)
    assert (await subject.acquirer.void(charge.id)).status == "captured"


async def test_a_refund_is_made_once_and_never_too_large(subject: Subject) -> None:
    charge = await subject.paid()
    with pytest.raises(Refused):
        await subject.acquirer.refund(charge.id, "early", usd(1))
    await subject.acquirer.capture(charge.id)
    for _ in range(2):
        assert (await subject.acquirer.refund(charge.id, "one", usd(300))).refunded == 300
    with pytest.raises(Refused):
        await subject.acquirer.refund(charge.id, "two", usd(201))
    assert (await subject.acquirer.refund(charge.id, "three", usd(200))).refunded == 500


async def test_a_lost_reply_is_unavailable_and_the_effect_stays(subject: Subject) -> None:
    charge = await subject.paid()
    subject.lose(1)
    with pytest.raises(Unavailable):
        await subject.acquirer.capture(charge.id)
    assert (await subject.acquirer.capture(charge.id)).captured == 500


async def test_a_charge_of_nobody_is_refused(subject: Subject) -> None:
    for ask in (subject.acquirer.get, subject.acquirer.capture, subject.acquirer.void):
        with pytest.raises(Refused):
            await ask("unknown")


async def test_the_books_hold_every_charge(subject: Subject) -> None:
    references = {f"payment-{number}" for number in range(3)}
    for reference in references:
        await subject.acquirer.create_session(reference, usd(500), RETURN)
    charges, rest = await subject.acquirer.books("")
    assert {charge.reference for charge in charges} == references
    assert not rest


# ---------------------------------------------------------------- the sandbox's own


def signature(body: bytes, at: int = int(START.timestamp()), secret: str = SECRET) -> str:
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


BODY = (
    b'{"id":"n","type":"charge.captured","at":"2026-03-01T12:00:00Z","charge":{"id":"c","reference":"p","status":"captured","card":"4242",'
    b'"amount":{"amount":500,"currency":"USD"},"captured":{"amount":500,"currency":"USD"},"refunded":{"amount":0,"currency":"USD"},"reason":"","url":"u"}}'
)
SANDBOX = SandboxAcquirer("http://127.0.0.1:9", SECRET)


def test_a_signed_webhook_is_read() -> None:
    notice = SANDBOX.read_notice(signature(BODY), BODY, START)
    assert (notice.id, notice.charge.reference, notice.charge.status, notice.charge.captured) == ("n", "p", "captured", 500)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "webhook.unsigned"),
        ("t=abc,v1=00", "webhook.unsigned"),
        ("t=٣,v1=00", "webhook.unsigned"),
        (signature(BODY, secret="another"), "webhook.signature"),
        (signature(BODY + b" "), "webhook.signature"),
        (signature(BODY).split(",")[0], "webhook.signature"),
        (signature(BODY).replace("v1", "v0"), "webhook.signature"),
        (signature(BODY, int(START.timestamp()) - 301), "webhook.too_old"),
        (signature(BODY, int(START.timestamp()) + 301), "webhook.too_old"),
    ],
)
def test_a_webhook_with_another_signature_is_refused(given: str, code: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        SANDBOX.read_notice(given, BODY, START)
    assert refused.value.code == code


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"id":"n"}', BODY.replace(b'"captured","card"', b'"new","card"')])
def test_a_signed_webhook_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        SANDBOX.read_notice(signature(body), body, START)


async def test_an_acquirer_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await SANDBOX.get("c")
    await SANDBOX.close()
