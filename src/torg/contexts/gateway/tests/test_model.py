"""Whose a path is."""

from __future__ import annotations

import pytest

from torg.contexts.gateway.model import OWN, context_of, tree

PATHS = tree()


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
    assert context_of(path, PATHS) == context


def test_a_word_goes_before_any_word():
    paths = tree({"/": "a", "/x/*/y": "b", "/x/z": "c", "/x/z/y/w": "d"})
    assert [context_of(path, paths) for path in ("/x/q/y", "/x/z/q", "/x/z/y", "/x/z/y/w", "/x/q")] == ["b", "c", "b", "d", "a"]
