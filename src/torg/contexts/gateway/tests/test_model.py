"""The front door as it is declared: whose a path is, how urgent, how often; and what is refused to be declared."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from torg import topology
from torg.contexts.gateway.adapters.declared_toml import DEFAULTS, BadGateway, declared, laid_over, load
from torg.contexts.gateway.model import OWN, Declared, below, unserved
from torg.contexts.gateway.model.paths import Node, leaf_of, tree
from torg.kit.http.admission import Urgency
from torg.kit.settings import BadSettings

CONTEXTS = (*topology.CONTEXTS, topology.SANDBOX)
DECLARED = load("", CONTEXTS)
PATHS = tree(DECLARED.routes)


@pytest.mark.parametrize(
    ("path", "context"),
    [
        ("/", "web"),
        ("/products/17", "web"),
        ("/products/17/reviews", "web"),
        ("/api/v1/products/17", "catalog"),
        ("/api/v1/products/17/recommendations", "catalog"),
        ("/api/v1/products/17/reviews", "review"),
        ("/api/v1/products/17/reviews/", "review"),
        ("/api/v1//products/17", "catalog"),
        ("/api/v1/productsx", OWN),
        ("/api/v2/products", OWN),
        ("/api/v1/admin/sagas/5/retry", "order"),
        ("/api/v1/admin/audit", "admin"),
        ("/administrator", "web"),
        ("/rpc/order.place", OWN),
        ("/acquirer/pay/5", "acquirer"),
        ("/../api/v1/products", "web"),
    ],
)
def test_the_longest_beginning_that_fits_counts(path: str, context: str):
    assert leaf_of(path, PATHS).context == context


@pytest.mark.parametrize(
    ("path", "urgency"),
    [
        ("/", Urgency.BROWSING),
        ("/api/v1/products/17", Urgency.BROWSING),
        ("/api/v1/cart/items/17", Urgency.CART),
        ("/api/v1/orders/17/cancel", Urgency.CHECKOUT),
        ("/api/v1/payments/webhooks/sandbox", Urgency.CHECKOUT),
        ("/api/v1/admin/orders", Urgency.ALWAYS),
        ("/ordersx", Urgency.BROWSING),
    ],
)
def test_what_is_urgent_is_told_from_its_path(path: str, urgency: Urgency):
    assert leaf_of(path, PATHS).rank == urgency


def test_a_word_goes_before_any_word():
    paths: Node[str] = tree({"/": "a", "/x/*/y": "b", "/x/z": "c", "/x/z/y/w": "d"})
    assert [leaf_of(path, paths) for path in ("/x/q/y", "/x/z/q", "/x/z/y", "/x/z/y/w", "/x/q")] == ["b", "c", "b", "d", "a"]


def with_changes(**tables: dict[str, Any]) -> Declared:
    return declared(laid_over(tomllib.loads(DEFAULTS.read_text()), tables), CONTEXTS)


def test_an_operators_file_says_only_what_differs(tmp_path: Path):
    own = tmp_path / "gateway.toml"
    own.write_text("[limits.orders]\nrequests = 2000\n[limits.products]\non = false\n[bounds]\nhead_seconds = 3\n")
    found = load(str(own), CONTEXTS)
    assert (found.limits["orders"].requests, found.limits["orders"].paths) == (2000, ("/api/v1/orders",))
    assert (found.limits["products"].on, found.limits["users"]) == (False, DECLARED.limits["users"])
    assert (found.bounds.head_seconds, found.bounds.head_count) == (3, DECLARED.bounds.head_count)


def test_everything_that_is_wrong_is_said_at_once():
    limit = {"algorithm": "token bucket", "requests": 10, "paths": ["/api/v1/orders"]}
    with pytest.raises(BadGateway) as first:
        with_changes(
            limits={"some": {**limit, "request": 5}, "none": {**limit, "requests": 0}, "odd": {**limit, "algorithm": "sieve"}},
            routes={"/x": {"context": "web", "urgency": "now"}}, bounds={"head_bytes": 10}, floods={},
            kept={"/old": {"fresh": 0}, "/some": {"fresh": 1, "until": 5}},
        )  # fmt: skip
    with pytest.raises(BadGateway) as second:
        with_changes(
            limits={
                "nowhere": {**limit, "paths": ["/api/v1/ordrs", "orders"]}, "window": {**limit, "algorithm": "fixed window", "burst": 3},
                "shut": {**limit, "burst": 0}, "slow": {**limit, "algorithm": "leaky bucket", "burst": 100}, "verb": {**limit, "methods": ["post"]},
                "office": {**limit, "per": "address", "guests": 2},
                "tier": {**limit, "tier": "free", "per": "address"},
            },
            routes={"/y": {"context": "yard"}, "/chat": {"context": "chat"}, "z/": {"context": "web"}}, countries={"blocked": ["germany"]},
            kept={"/": {"fresh": 5, "cookies": "ignored"}, "/shelves/": {"fresh": 5}, "/chat/rooms": {"fresh": 5}},
            services={"chat": {"at": ["10.0.0.1:80"]}},
        )  # fmt: skip
    for said, words in (
        (first, ("`request`; known are paths", '"none": Expected `int` >= 1', "'sieve'", "'now'", ">= 1024", "[floods]: there is no such table",
                 '"/old": Expected `float` > 0', "`until`; known are fresh, stale")),
        (second, (
            '[limits.nowhere] "/api/v1/ordrs": no context answers there', '[limits.nowhere] "orders": a path begins with a slash',
            "[limits.window]: a fixed window has no burst", "[limits.shut]: burst 0 lets nobody in", "[limits.slow]: the last of 100 would wait for 600 s",
            "'post' is no method", "[limits.tier]: a tier is counted by person", "[limits.office]: guests are counted where", "there is no context 'yard'",
            '"z/": a path begins', "'germany' is no ISO 3166",
            '[kept] "/": the page of somebody', '[kept] "/chat/rooms": a service beside the shop', '[kept] "/shelves/": a path begins',
        )),
    ):  # fmt: skip
        assert [word for word in words if word not in str(said.value)] == []


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path):
    (tmp_path / "bad.toml").write_text("[limits")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(BadSettings, match=f"TORG_GATEWAY='.*{name}' cannot be read"):
            load(str(tmp_path / name), CONTEXTS)


def test_a_path_below_which_nothing_is_served_is_named():
    found = with_changes(
        limits={"some": {"algorithm": "fixed window", "requests": 1, "paths": ["/api/v1/orders/*/stream", "/api/v1/orders/none/such", "/checkuot"]}},
        routes={"/baskets": {"context": "web"}},
        kept={"/api/v1/orders/*/st": {"fresh": 5}, "/api/v1/payments/webhooks": {"fresh": 5}},
    )  # fmt: skip
    counted = (path for limit in DECLARED.limits.values() for path in limit.paths)
    served = [path for path in (*DECLARED.routes, *DECLARED.kept, *counted) if path != "/baskets"]
    assert unserved(found, [*served, "/api/v1/orders/{order_id}/stream", "/api/v1/payments/webhooks/{acquirer}"]) == [
        '[routes] "/baskets": no route begins like that',
        '[limits.some] "/api/v1/orders/none/such": no route begins like that',
        '[limits.some] "/checkuot": no route begins like that',
        '[kept] "/api/v1/orders/*/st": no route answers just there',
        '[kept] "/api/v1/payments/webhooks": no route answers just there',
    ]


@pytest.mark.parametrize(
    ("path", "beginning", "is_below"),
    [
        ("/api/v1/orders", "/api/v1/orders", True),
        ("/api/v1/orders/17", "/api/v1/orders", True),
        ("/api/v1/ordersx", "/api/v1/orders", False),
        ("/api/v1/products/17/reviews", "/api/v1/products/*/reviews", True),
        ("/api/v1/products/reviews", "/api/v1/products/*/reviews", False),
        ("/", "/", True),
        ("/x", "/", True),
    ],
)
def test_what_lies_below_a_path(path: str, beginning: str, is_below: bool):
    assert below(path, beginning) is is_below


def test_the_numbers_of_the_brief_are_the_defaults():
    told = {name: (rule.requests, rule.seconds, rule.per, rule.tier) for name, rule in DECLARED.limits.items()}
    assert told.items() >= {
        "all": (1000, 60, "caller", ""), "users": (100, 60, "person", ""), "products": (500, 60, "caller", ""), "orders": (200, 60, "caller", ""),
        "free": (10, 60, "caller", "free"), "premium": (100, 60, "caller", "premium"), "enterprise": (1000, 60, "caller", "enterprise"),
    }.items()  # fmt: skip


def test_a_service_is_led_to_like_a_context_and_may_speak_websocket():
    found = with_changes(services={"chat": {"at": ["10.0.0.5:9000", "[fd00::5]:9000"]}}, routes={"/chat": {"context": "chat", "upgrade": True}})
    assert leaf_of("/chat/rooms", tree(found.routes)).upgrade
    assert found.services["chat"].credentials is False
    assert unserved(found, ["/x"]).count('[routes] "/chat": no route begins like that') == 0


def test_every_fault_of_a_service_is_said_at_once():
    services = {"chat": {"at": ["10.0.0.5"]}, "order": {"at": ["a:1"]}, "mail": {"at": ["http://a:1"], "origins": ["partner.example", "https://P.example/"]}}
    routes = {"/a": {"context": "caht"}, "/b": {"context": "catalog", "upgrade": True}}
    with pytest.raises(BadGateway) as bad:
        with_changes(services=services, routes=routes)
    for words in (
        "[services.chat]: '10.0.0.5' is no address: host:port", "[services.order]: 'order' is a context of the shop", "'http://a:1' is no address",
        "'partner.example' is no origin", "'https://P.example/' is no origin", "there is no context 'caht', nor a service",
        '[routes] "/b": no context of the shop speaks WebSocket: upgrade = true is for a service',
    ):  # fmt: skip
        assert words in str(bad.value)
