"""Which context a path belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

OWN: Final = ""
"""What the gateway answers itself."""
TABLE: Final[Mapping[str, str]] = {
    "/": "web",
    "/acquirer": "acquirer",
    "/admin": "admin",
    "/api": OWN,
    "/api/v1/admin": "admin",
    "/api/v1/admin/orders": "order",
    "/api/v1/admin/sagas": "order",
    "/api/v1/admin/users": "user",
    "/api/v1/analytics": "analytics",
    "/api/v1/cart": "cart",
    "/api/v1/catalog": "catalog",
    "/api/v1/categories": "catalog",
    "/api/v1/deliveries": "shipping",
    "/api/v1/delivery": "shipping",
    "/api/v1/inventory": "inventory",
    "/api/v1/notifications": "notification",
    "/api/v1/orders": "order",
    "/api/v1/payments": "payment",
    "/api/v1/products": "catalog",
    "/api/v1/products/*/reviews": "review",
    "/api/v1/promo-codes": "cart",
    "/api/v1/purchase-orders": "inventory",
    "/api/v1/reviews": "review",
    "/api/v1/sessions": "user",
    "/api/v1/suppliers": "inventory",
    "/api/v1/users": "user",
    "/api/v1/wallet": "payment",
    "/api/v1/warehouses": "inventory",
    "/asyncapi.json": OWN,
    "/health": OWN,
    "/mailbox": "notification",
    "/metrics": OWN,
    "/openapi.json": OWN,
    "/pictures": "catalog",
    "/ready": OWN,
    "/rpc": OWN,
}
"""The beginnings of paths; * stands for any one segment. The longest that fits counts, and a word before a *."""

Tree: TypeAlias = "dict[str, Tree | str]"
_HERE: Final = "/"  # the key of a node's own context: no segment has a slash


def tree(table: Mapping[str, str] = TABLE) -> Tree:
    """The table, segment by segment."""
    root: Tree = {}
    for pattern, context in table.items():
        node = root
        for segment in filter(None, pattern.split("/")):
            below = node.setdefault(segment, {})
            assert isinstance(below, dict), "only contexts are no nodes"
            node = below
        node[_HERE] = context
    return root


def context_of(path: str, root: Tree) -> str:
    """Whose the path is."""
    found = _deepest(root, [segment for segment in path.split("/") if segment], 0)
    assert found is not None, "the root belongs to somebody"
    return found[1]


def _deepest(node: Tree, segments: list[str], at: int) -> tuple[int, str] | None:
    own = node.get(_HERE)
    best = (at, own) if isinstance(own, str) else None
    if at == len(segments):
        return best
    for segment in (segments[at], "*"):
        below = node.get(segment)
        deeper = _deepest(below, segments, at + 1) if isinstance(below, dict) else None
        if deeper and (best is None or deeper[0] > best[0]):
            best = deeper
    return best
