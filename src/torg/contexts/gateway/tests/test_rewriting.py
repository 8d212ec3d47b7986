"""Other hosts and paths for what is there, and what becomes of headers and fields."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest

from torg import topology
from torg.contexts.admin.contracts import NetworkRules
from torg.contexts.gateway.adapters.declared_toml import DEFAULTS, BadGateway, declared, laid_over
from torg.contexts.gateway.adapters.guard_asgi import Guard
from torg.contexts.gateway.adapters.networks import Lists
from torg.contexts.gateway.adapters.rewriting_asgi import Rewriting
from torg.contexts.gateway.model.rewriting import Rewrite, Rewrites
from torg.kit.auth import Identity
from torg.kit.countries import open_atlas
from torg.kit.limits.memory import MemoryLimiter
from torg.kit.rpc.paths import unquote
from torg.kit.testing import TestClock, test_ids

CONTEXTS = (*topology.CONTEXTS, topology.SANDBOX)
PRODUCT = {"id": "1", "name": "Teapot", "price": {"amount": 5, "currency": "RUB"}, "offers": [{"id": "a", "cost": 3}, {"id": "b", "cost": 4}]}


class Shop:
    """A shop with these rewrites in front of it; tells what has reached it."""

    def __init__(self, rewrites: dict[str, Any], limits: dict[str, Any] | None = None) -> None:
        self.asked: list[Any] = []
        self.pieces, self.kind, self.status = [msgspec.json.encode(PRODUCT)], b"application/json", 200
        found = declared(laid_over(tomllib.loads(DEFAULTS.read_text()), {"rewrites": rewrites, "limits": limits or {}}), CONTEXTS)
        lists = Lists(self._nothing_ruled, found.countries, open_atlas(""), TestClock())
        guard = Guard(self._answer, found, MemoryLimiter(), self._nobody, lists, None, test_ids())
        self._front = Rewriting(guard, Rewrites(found.rewrites.values()))
        self.sent: list[Any] = []

    async def _nothing_ruled(self) -> NetworkRules:
        return NetworkRules(())

    async def _nobody(self, _: str) -> Identity | None:
        return None

    async def _answer(self, scope: Any, _: Any, send: Any) -> None:
        self.asked.append(scope)
        size = sum(map(len, self.pieces))
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [(b"content-type", self.kind), (b"content-length", b"%d" % size), (b"x-inside", b"1")],
            }
        )
        for at, piece in enumerate(self.pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": at < len(self.pieces)})

    async def get(self, path: str, host: str = "shop.example", **headers: str) -> Any:
        """The answer's document, or its bytes where it is none."""
        self.sent = []
        said = [(b"host", host.encode()), *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())]
        scope = {
            "type": "http", "method": "GET", "path": unquote(path.encode()), "raw_path": path.encode(), "query_string": b"q=1", "scheme": "http",
            "client": ("198.51.100.7", 1), "headers": said,
        }  # fmt: skip

        async def send(message: Any) -> None:
            self.sent.append(message)

        await self._front(scope, _nothing_more, send)
        body = b"".join(message["body"] for message in self.sent[1:])
        return msgspec.json.decode(body) if b"json" in self.headers[b"content-type"] else body

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


async def _nothing_more() -> Any:
    return {"type": "http.disconnect"}


async def test_a_host_of_its_own_for_a_part_of_the_shop():
    shop = Shop({"partners": {"hosts": ["partners.example"], "becomes": "/api/v1"}})
    await shop.get("/products/5", "Partners.Example:8443")
    await shop.get("/products/5")
    await shop.get("/", "partners.example")
    assert [(scope["path"], scope["raw_path"]) for scope in shop.asked] == [
        ("/api/v1/products/5", b"/api/v1/products/5"), ("/products/5", b"/products/5"), ("/api/v1", b"/api/v1"),
    ]  # fmt: skip


async def test_what_follows_the_beginning_stays_as_it_was_sent():
    shop = Shop({"goods": {"paths": ["/goods"], "becomes": "/api/v1/products"}, "top": {"paths": ["/shop/*"], "becomes": "/"}})
    for path in ("/goods/a%2Fb/reviews/", "/goodsx/1", "/shop/ru/cart", "/goods%2F1"):
        await shop.get(path)
    assert [scope["raw_path"] for scope in shop.asked] == [b"/api/v1/products/a%2Fb/reviews/", b"/goodsx/1", b"/cart", b"/goods%2F1"]
    assert shop.asked[0]["path"] == "/api/v1/products/a%2Fb/reviews/"


async def test_no_spelling_of_a_path_gets_round_what_is_left_out():
    """Who shows an answer sees the same segments in its path as who leaves fields out of it."""
    shop = Shop({"v1": {"paths": ["/api/v1/products"], "drop": ["colour"]}})
    shop.pieces = [b'{"colour": "red"}']
    for path in ("/api/v1/products/5", "//api/v1/products/5", "/%61pi/v1/product%73/5", "/api%2Fv1/products/5", "/api/v1%2fproducts%2f5"):
        shown = await shop.get(path)
        asked_for = shop.asked[-1]["path"].strip("/").split("/")[:3]
        assert (shown == {}) is (asked_for == ["api", "v1", "products"]), path


@pytest.mark.parametrize(
    ("becomes", "asked", "matched", "location", "told"),
    [
        ("/api/v1", b"/api/v2/orders", 2, b"/api/v1/orders/5?a=b", b"/api/v2/orders/5?a=b"),
        ("/api/v1", b"/orders", 0, b"/api/v1/orders/5", b"/orders/5"),
        ("/api/v1", b"/orders", 0, b"/api/v1", b"/"),
        ("/api/v1", b"/orders", 0, b"/api/v1?a=b", b"/?a=b"),
        ("/api/v1", b"/orders", 0, b"/api/v10/orders", b"/api/v10/orders"),
        ("/api/v1", b"/orders", 0, b"https://bank.example/api/v1", b"https://bank.example/api/v1"),
        ("/", b"/shop/ru/cart", 2, b"/sign-in", b"/shop/ru/sign-in"),
        ("", b"/api/v1/orders", 2, b"/api/v1/orders/5", b"/api/v1/orders/5"),
    ],
)
def test_an_answer_leads_to_where_its_reader_would_ask(becomes: str, asked: bytes, matched: int, location: bytes, told: bytes):
    assert Rewrite(becomes=becomes).place(location, asked, matched) == told


async def test_limits_hold_for_what_a_path_becomes():
    shop = Shop(
        {"goods": {"paths": ["/goods"], "becomes": "/api/v1/products"}},
        {"few": {"paths": ["/api/v1/products"], "algorithm": "fixed window", "requests": 2, "per": "address"}},
    )
    for path in ("/goods/1", "/api/v1/products/2", "/goods/3"):
        await shop.get(path)
    assert (shop.sent[0]["status"], len(shop.asked)) == (429, 2)


async def test_headers_are_added_and_taken_away_on_both_ways():
    shop = Shop({"all": {"add": {"x-channel": "partners"}, "remove": ["x-debug"], "answer_add": {"x-served-to": "you"}, "answer_remove": ["x-inside"]}})
    await shop.get("/api/v1/products/1", x_debug="1", x_channel="mine", x_other="2")
    asked = dict(shop.asked[0]["headers"])
    assert (asked[b"x-channel"], asked.get(b"x-debug"), asked[b"x-other"]) == (b"partners", None, b"2")
    assert (shop.headers[b"x-served-to"], b"x-inside" in shop.headers) == (b"you", False)


async def test_an_old_version_keeps_answering_after_something_was_added():
    old = await Shop({}).get("/api/v1/products/1")
    shop = Shop({"v1": {"paths": ["/api/v1"], "drop": ["colour", "price.vat", "offers.stock"]}, "v2": {"paths": ["/api/v2"], "becomes": "/api/v1"}})
    new = {
        **PRODUCT, "colour": "red", "price": {"amount": 5, "currency": "RUB", "vat": 1},
        "offers": [{"id": "a", "cost": 3, "stock": 0}, {"id": "b", "cost": 4, "stock": 9}],
    }  # fmt: skip
    shop.pieces = [msgspec.json.encode(new)[:20], msgspec.json.encode(new)[20:]]
    assert await shop.get("/api/v1/products/1") == old
    assert await shop.get("/api/v2/products/1") == new
    assert [scope["path"] for scope in shop.asked] == ["/api/v1/products/1"] * 2


async def test_only_the_fields_that_are_kept_are_seen_and_refusals_whole():
    shop = Shop({"few": {"paths": ["/api/v1/products"], "keep": ["id", "offers.id"]}})
    assert await shop.get("/api/v1/products/1", accept_encoding="gzip") == {"id": "1", "offers": [{"id": "a"}, {"id": "b"}]}
    assert b"accept-encoding" not in dict(shop.asked[0]["headers"])
    shop.status = 404
    assert await shop.get("/api/v1/products/1") == PRODUCT


async def test_what_is_no_small_json_is_never_shown_unfiltered():
    shop = Shop({"few": {"paths": ["/api/v1/products"], "drop": ["secret"]}})
    for pieces in ([b'{"secret": "', b"x" * (1 << 20), b'"}'], [b'{"secret": 1']):
        shop.pieces = pieces
        problem = await shop.get("/api/v1/products/1")
        assert (shop.sent[0]["status"], problem["code"], len(shop.sent)) == (500, "rewrite.failed", 2)
    shop.pieces, shop.kind = [b"data: 1\n\n", b"data: 2\n\n"], b"text/event-stream"
    await shop.get("/api/v1/products/1")
    assert [message["body"] for message in shop.sent[1:]] == shop.pieces, "one by one"


def test_every_fault_of_a_rewrite_is_said_at_once():
    rewrites = {
        "a": {"paths": ["x"], "becomes": "/y/*"}, "b": {"hosts": ["Shop:80"], "add": {"X-Loud": "1"}, "remove": ["content-length"]},
        "c": {"keep": ["a"], "drop": ["b..c"], "answer_add": {"x-a": "1\r\nx-b: 2"}}, "d": {"paths": ["/"]}, "e": {"answer_remove": ["torg-gateway"]},
    }  # fmt: skip
    with pytest.raises(BadGateway) as bad:
        declared(laid_over(tomllib.loads(DEFAULTS.read_text()), {"rewrites": rewrites}), CONTEXTS)
    for words in (
        '[rewrites.a] "x": a path begins', '[rewrites.a] becomes "/y/*"', "'Shop:80' is no host", "'X-Loud' is no header",
        "content-length is not to be changed",
        "[rewrites.c]: keep says all", "'b..c' is no field", "cannot stand in a header", '[rewrites.d] "/": c is for it as well',
        "torg-gateway is not to be changed",
    ):  # fmt: skip
        assert words in str(bad.value)
