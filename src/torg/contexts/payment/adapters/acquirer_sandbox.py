"""The sandbox acquirer over HTTP."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeVar

import aiohttp
import msgspec

from torg.contexts.payment.model import Charge, ChargeStatus
from torg.contexts.payment.ports import Notice, Refused
from torg.kit.errors import Malformed, Unauthenticated, Unavailable
from torg.kit.values import Money

T = TypeVar("T")
PATIENCE = aiohttp.ClientTimeout(total=8)
TOLERANCE = 300  # seconds between a webhook's time and ours
AGAIN_LATER = frozenset({"charge.processing", "idempotency.in_progress"})

STATUS: Mapping[str, ChargeStatus] = {
    "open": "open",
    "confirming": "open",
    "processing": "open",
    "authorized": "authorized",
    "captured": "captured",
    "failed": "failed",
    "voided": "failed",
}


class _Charge(msgspec.Struct, frozen=True):
    id: str
    reference: str
    status: Literal["open", "confirming", "processing", "authorized", "captured", "failed", "voided"]
    amount: Money
    captured: Money
    refunded: Money
    reason: str
    url: str

    def read(self) -> Charge:
        return Charge(
            id=self.id, reference=self.reference, amount=self.amount, status=STATUS[self.status], captured=self.captured.amount,
            refunded=self.refunded.amount, reason=self.reason, url=self.url,
        )  # fmt: skip


class _Books(msgspec.Struct, frozen=True):
    items: tuple[_Charge, ...]
    next_cursor: str | None


class _Notice(msgspec.Struct, frozen=True):
    id: str
    charge: _Charge


class _Problem(msgspec.Struct, frozen=True):
    code: str = "unknown"
    detail: str = ""


class SandboxAcquirer:
    """Implements Acquirer. `url` is the acquirer's own, without a slash at the end."""

    name = "sandbox"

    def __init__(self, url: str, secret: str) -> None:
        self._url, self._secret = url.rstrip("/"), secret
        self._session: aiohttp.ClientSession | None = None

    async def create_session(self, payment_id: str, amount: Money, return_url: str) -> Charge:
        body = {"reference": payment_id, "amount": amount, "return_url": return_url}
        return await self._charge("POST", "/sessions", body, key=payment_id)

    async def get(self, charge_id: str) -> Charge:
        return await self._charge("GET", f"/payments/{charge_id}")

    async def capture(self, charge_id: str) -> Charge:
        return await self._or_as_it_stands(charge_id, "capture", "charge.not_authorized")

    async def void(self, charge_id: str) -> Charge:
        return await self._or_as_it_stands(charge_id, "void", "charge.captured")

    async def refund(self, charge_id: str, refund_id: str, amount: Money) -> Charge:
        body = {"refund_id": refund_id, "amount": amount}
        return await self._charge("POST", f"/payments/{charge_id}/refunds", body)

    async def books(self, cursor: str) -> tuple[Sequence[Charge], str]:
        page = _decode(await self._ask("GET", f"/books?cursor={cursor}"), _Books)
        return [charge.read() for charge in page.items], page.next_cursor or ""

    def read_notice(self, signature: str, body: bytes, now: datetime) -> Notice:
        self._verify(signature, body, now)
        try:
            notice = msgspec.json.decode(body, type=_Notice)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Malformed("webhook.malformed", f"this is not a webhook's body: {error}") from error
        return Notice(notice.id, notice.charge.read())

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _verify(self, signature: str, body: bytes, now: datetime) -> None:
        parts = dict(part.strip().partition("=")[::2] for part in signature.split(","))
        timestamp, code = parts.get("t", ""), parts.get("v1", "")
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            raise Unauthenticated("webhook.unsigned", "a webhook is signed: t=<Unix seconds>,v1=<HMAC-SHA256 of 't.body' in hex>")
        right = hmac.new(self._secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(right.encode(), code.encode()):
            raise Unauthenticated("webhook.signature", "this signature is not the acquirer's")
        if abs(now.timestamp() - int(timestamp)) > TOLERANCE:
            raise Unauthenticated("webhook.too_old", f"this webhook was signed more than {TOLERANCE} seconds away from now")

    async def _or_as_it_stands(self, charge_id: str, action: str, too_late: str) -> Charge:
        try:
            return await self._charge("POST", f"/payments/{charge_id}/{action}")
        except Refused as refusal:
            if refusal.code != too_late:
                raise
            return await self.get(charge_id)

    async def _charge(self, method: str, path: str, body: object = None, key: str = "") -> Charge:
        return _decode(await self._ask(method, path, body, key), _Charge).read()

    async def _ask(self, method: str, path: str, body: object = None, key: str = "") -> bytes:
        headers = {"authorization": f"Bearer {self._secret}"}
        if key:
            headers["idempotency-key"] = key
        if body is not None:
            headers["content-type"] = "application/json"
        data = msgspec.json.encode(body) if body is not None else None
        try:
            async with self._open().request(method, self._url + path, data=data, headers=headers, allow_redirects=False) as answer:
                status, text = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(f"the acquirer does not answer: {type(error).__name__} {error}") from error
        return _read_answer(status, text)

    def _open(self) -> aiohttp.ClientSession:
        """Made at the first asking: a session wants a running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=PATIENCE)
        return self._session


def _decode(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the acquirer answers what cannot be read: {error}") from error


def _read_answer(status: int, text: bytes) -> bytes:
    """The body of a success. Raises Unavailable where asking again may help, else Refused."""
    if status < 300:
        return text
    try:
        problem = msgspec.json.decode(text, type=_Problem)
    except msgspec.DecodeError:
        problem = _Problem(detail=f"status {status}")
    if status >= 500 or status == 429 or problem.code in AGAIN_LATER:
        raise Unavailable(f"the acquirer says {status}: {problem.detail}")
    raise Refused(problem.code, problem.detail)
