"""Whose a path is."""

from __future__ import annotations

import pytest

from torg.contexts.gateway.model import OWN, TABLE, URGENCY, leaf_of, tree
from torg.kit.http.admission import Urgency

PATHS = tree(TABLE)


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
    assert leaf_of(path, PATHS) == context


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
    assert leaf_of(path, tree(URGENCY)) == urgency


def test_a_word_goes_before_any_word():
    paths = tree({"/": "a", "/x/*/y": "b", "/x/z": "c", "/x/z/y/w": "d"})
    assert [leaf_of(path, paths) for path in ("/x/q/y", "/x/z/q", "/x/z/y", "/x/z/y/w", "/x/q")] == ["b", "c", "b", "d", "a"]
