"""Wallets, payments and webhooks over HTTP."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.payment.adapters.acquirer_sandbox import SandboxAcquirer
from torg.contexts.payment.handlers import HANDLERS
from torg.contexts.payment.handlers.payments import process_payment
from torg.contexts.payment.ports import PaymentDeps
from torg.contexts.payment.routes import routes
from torg.contexts.payment.tests.payment_setup import BUYER, ORDER, pay, payment_deps
from torg.kit.auth import Identity, Role
from torg.kit.http import App
from torg.kit.module import bound
from torg.kit.testing.http import Answer, ask

SECRET = "a secret of tests"
Ask = Callable[..., Awaitable[Answer]]


async def _authenticate(token: str) -> Identity | None:
    return Identity(token, frozenset({Role.CUSTOMER}))


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[tuple[Ask, PaymentDeps]]:
    async with payment_deps(tmp_path, acquirer=SandboxAcquirer("http://127.0.0.1:9", SECRET)) as deps:
        app, handlers = App(deps.clock, deps.new_id, _authenticate), bound(HANDLERS, deps)
        app.add(routes(deps), handlers.__getitem__, deps.store)

        async def as_buyer(method: str, path: str, body: object = None, who: str = BUYER, **more: Any) -> Answer:
            return await ask(app, method, f"/api/v1{path}", body, authorization=f"Bearer {who}", **more)

        yield as_buyer, deps


def top_up(amount: object, currency: str = "USD") -> dict[str, object]:
    return {"amount": {"amount": amount, "currency": currency}}


async def test_a_top_up_sent_again_with_its_key_is_credited_once(shop: tuple[Ask, PaymentDeps]) -> None:
    ask_shop, _ = shop
    answers = [await ask_shop("POST", "/wallet/top-ups", top_up(250), idempotency_key="k") for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].body == answers[1].body
    assert (await ask_shop("GET", "/wallet")).json["balance"] == {"amount": 1250, "currency": "USD"}
    assert (await ask_shop("POST", "/wallet/top-ups", top_up(251), idempotency_key="k")).status == 422


async def test_a_top_up_needs_a_key(shop: tuple[Ask, PaymentDeps]) -> None:
    assert (await shop[0]("POST", "/wallet/top-ups", top_up(250))).status == 400


@pytest.mark.parametrize("body", [top_up(0), top_up(-1), top_up(10_000_001), top_up(1.5), top_up("1"), top_up(1, "EUR"), {}, {**top_up(1), "x": 1}])
async def test_a_bad_top_up_is_named_and_changes_nothing(shop: tuple[Ask, PaymentDeps], body: object) -> None:
    answer = await shop[0]("POST", "/wallet/top-ups", body, idempotency_key="k")
    assert (answer.status, bool(answer.json["errors"])) == (422, True)
    assert (await shop[0]("GET", "/wallet")).json["balance"]["amount"] == 1000


@pytest.mark.parametrize("path", ["/wallet?cursor=x", "/payments?cursor=x", "/payments?limit=0", "/payments?limit=101", "/payments?what=1"])
async def test_bad_queries_are_refused(shop: tuple[Ask, PaymentDeps], path: str) -> None:
    assert (await shop[0]("GET", path)).status == 422


async def test_a_payment_is_found_by_its_order_and_hidden_from_strangers(shop: tuple[Ask, PaymentDeps]) -> None:
    ask_shop, deps = shop
    await process_payment(pay(400), deps)
    (mine,) = (await ask_shop("GET", f"/payments?order_id={ORDER}")).json["items"]
    assert (mine["status"], mine["amount"]["amount"], mine["order_id"], mine["method"]) == ("captured", 400, ORDER, "balance")
    assert (await ask_shop("GET", f"/payments/{mine['id']}")).json == mine
    for path in (f"/payments/{mine['id']}", "/payments/unknown"):
        assert (await ask_shop("GET", path, who="stranger")).json["code"] == "payment.not_found"
    assert (await ask_shop("POST", f"/payments/{mine['id']}/check", who="stranger")).status == 404


def charged(payment_id: str) -> bytes:
    money = b'{"amount":%d,"currency":"USD"}'
    return (
        b'{"id":"notice-1","type":"charge.captured","at":"2026-03-01T12:00:00Z","charge":{"id":"c","reference":"' + payment_id.encode()
        + b'","status":"captured","amount":' + money % 500 + b',"captured":' + money % 500 + b',"refunded":' + money % 0
        + b',"reason":"","card":"4242","url":"u","created_at":"2026-03-01T12:00:00Z"}}'
    )  # fmt: skip


async def test_a_signed_webhook_settles_a_card_payment(shop: tuple[Ask, PaymentDeps]) -> None:
    ask_shop, deps = shop
    await process_payment(pay(500, "card"), deps)
    (payment,) = (await ask_shop("GET", "/payments")).json["items"]
    body, at = charged(payment["id"]), int(deps.clock().timestamp())
    code = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()

    async def webhook(signature: str, name: str = "sandbox") -> int:
        return (await ask_shop("POST", f"/payments/webhooks/{name}", raw=body, acquirer_signature=signature)).status

    assert await webhook("") == 401
    assert await webhook(f"t={at},v1={'0' * 64}") == 401
    assert await webhook(f"t={at},v1={code}", "another") == 404
    assert (await ask_shop("GET", f"/payments/{payment['id']}")).json["status"] == "pending"
    assert [await webhook(f"t={at},v1={code}") for _ in range(2)] == [204, 204]
    assert (await ask_shop("GET", f"/payments/{payment['id']}")).json["status"] == "captured"
