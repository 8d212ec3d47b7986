"""What can be read in more than one way, over a real socket: paths that are encoded twice, answers without their body, spellings of one address."""

from __future__ import annotations

import pytest

from tests.attacks.conftest import Town
from tests.attacks.test_corpora import raw, told
from torg import topology
from torg.contexts.gateway.adapters.declared_toml import load
from torg.contexts.web.routes import LEADING_IN
from torg.kit.http.admission import Urgency

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def status(town: Town, target: str, method: str = "GET") -> int:
    answer = await raw(town, f"{method} {target} HTTP/1.1\r\nHost: shop\r\nAccept: text/html\r\nConnection: close\r\n\r\n".encode())
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("root", ["/api/v1/products/", "/products/"])
async def test_a_path_is_decoded_once(town: Town, root: str):
    product = town.known["product_id"]
    once = "".join(f"%{ord(sign):02x}" for sign in product)
    assert await status(town, root + once) == 200
    assert await status(town, root + once.replace("%", "%25")) == 404
    assert await status(town, f"{root}{product}%252f..%252f{product}") == 404


@pytest.mark.parametrize("target", ["/", "/api/v1/products", "/sign-in", "/nothing", "/api/v1/nothing", "/static/nothing", "/health"])
async def test_head_says_how_long_the_answer_to_a_get_is_and_says_nothing_else(town: Town, target: str):
    answers = {method: await raw(town, f"{method} {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode()) for method in ("GET", "HEAD")}
    assert answers["HEAD"].split(b"\r\n")[0] == answers["GET"].split(b"\r\n")[0]
    assert answers["HEAD"].partition(b"\r\n\r\n")[2] == b""
    lengths = {method: told(answer)["content-length"] for method, answer in answers.items()}
    assert lengths["HEAD"] == lengths["GET"]


@pytest.mark.parametrize("segment", ["{}", "%7b%7d", "*", "/*", "%2f*", "{product_id}", "-", "..", "%2e"])
async def test_no_word_of_a_path_is_a_word_of_the_routers(town: Town, segment: str):
    for root in ("/products/", "/api/v1/products/", "/pictures/", "/api/v1/orders/", "/admin/orders/", "/acquirer/pay/"):
        for path in (f"{root}{segment}", f"{root}{segment}/reviews"):
            assert await status(town, path) in (200, 303, 401, 404, 405), path


async def test_whatever_has_a_password_hashed_for_strangers_is_counted_as_signing_in_is(town: Town):
    """By the API and on pages alike: else a page is the way round the limit."""
    limit = load("", (*topology.CONTEXTS, topology.SANDBOX)).limits["sign-in"]
    meant = {route.path for route in town.routes if route.method == "POST" and route.urgency == Urgency.SIGN_IN} | LEADING_IN | {"/profile/password"}
    assert meant > {"/api/v1/sessions", "/reset-password"}
    assert [path for path in sorted(meant) if not limit.covers(path)] == []
