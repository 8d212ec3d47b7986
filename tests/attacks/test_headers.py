"""What every answer says to browsers, whoever asks for what."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.attacks.conftest import Town
from torg.kit.testing.http import Answer
from torg.kit.values import utc_now

pytestmark = pytest.mark.asyncio(loop_scope="session")
ALWAYS = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "cross-origin-resource-policy": "same-origin"}
STRANGE = "/nothing/is/here"


def _faults(named: str, answer: Answer) -> Iterator[str]:
    headers = answer.headers
    for name, value in ALWAYS.items():
        if headers.get(name) != value:
            yield f"{named}: {name} is {headers.get(name)}"
    policy = headers.get("content-security-policy", "")
    if not policy.startswith("default-src 'none'") or "frame-ancestors 'none'" not in policy:
        yield f"{named}: its policy is {policy!r}"
    if any(word in policy for word in ("unsafe-inline", "unsafe-eval", "*")):
        yield f"{named}: its policy lets too much in: {policy}"
    if "no-referrer" not in headers.get("referrer-policy", "") and "strict-origin" not in headers.get("referrer-policy", ""):
        yield f"{named}: it tells others where people come from"
    if headers.get("content-type", "").startswith("text/html"):
        if "script-src 'self'" not in policy and "script-src 'none'" not in policy:
            yield f"{named}: scripts come from {policy}"
        if "base-uri 'none'" not in policy or "form-action 'self'" not in policy:
            yield f"{named}: its forms or addresses can be bent: {policy}"
        if headers.get("cross-origin-opener-policy") != "same-origin" or "camera=()" not in headers.get("permissions-policy", ""):
            yield f"{named}: it can be reached from a window of others, or ask for a camera"


async def test_every_answer_to_anybody_carries_its_guards(town: Town):
    tokens = {"a guest": "", "a buyer": town.buyer.token, "an admin": (await town.shop.staff("admin")).token}
    faults, pages = list[str](), 0
    for route in town.routes:
        if route.media == "text/event-stream":
            continue
        asked = {"GET": tokens, "POST": {"a guest": ""}}.get(route.method, {})
        for who, token in asked.items():
            answer = await town.open(route.method, town.path(route), token)
            faults += _faults(f"{route.method} {route.path} to {who}, {answer.status}", answer)
            pages += answer.headers.get("content-type", "").startswith("text/html")
    assert not faults, "\n".join(faults)
    assert pages > 100, "few pages were seen"


async def test_refusals_carry_them_too(town: Town):
    for answer in (
        await town.open("GET", STRANGE),
        await town.open("GET", STRANGE, accept="application/json"),
        await town.open("DELETE", "/"),
        await town.open("GET", "/api/v1/orders", authorization="Bearer of-nobody"),
        await town.open("GET", "/api/v1/products?limit=x"),
    ):
        assert answer.status >= 400
        assert not list(_faults(str(answer.status), answer))


async def test_pages_of_members_are_kept_by_nobody(town: Town):
    tokens = [town.buyer.token, (await town.shop.staff("admin")).token]
    kept = [
        f"{path}: {answer.headers.get('cache-control')}"
        for token in tokens
        for path in ("/profile", "/orders", "/wallet", "/mailbox", "/admin", "/admin/users", "/admin/orders")
        if (answer := await town.open("GET", path, token)).status == 200 and "no-store" not in answer.headers.get("cache-control", "")
    ]
    assert not kept


async def test_what_the_api_tells_somebody_is_kept_by_no_cache_between(town: Town):
    for path in ("users/me", "orders", "cart", "wallet", "payments", "notifications", "sessions", "products"):
        answer = await town.open("GET", f"/api/v1/{path}", authorization=f"Bearer {town.buyer.token}")
        assert answer.status == 200, path
        assert {"private", "no-store"} & set(answer.headers["cache-control"].split(", ")), f"{path}: {answer.headers['cache-control']}"


async def test_whoever_finds_a_hole_learns_whom_to_tell(town: Town):
    answer = await town.open("GET", "/.well-known/security.txt")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    fields = dict(line.split(": ", 1) for line in answer.body.decode().splitlines())
    assert fields["Contact"].startswith(("mailto:", "https://"))
    assert fields["Canonical"] == f"{town.shop.address}/.well-known/security.txt"
    assert fields["Preferred-Languages"] == "en, ru"
    left = datetime.fromisoformat(fields["Expires"]) - utc_now()
    assert 0 < left.days < 365, "RFC 9116, section 2.5.5"
