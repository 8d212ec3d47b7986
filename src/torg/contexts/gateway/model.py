"""Which context a path belongs to, and how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from torg.kit.http.admission import Urgency

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

URGENCY: Final[Mapping[str, Urgency]] = {
    "/": Urgency.BROWSING,
    "/acquirer": Urgency.CHECKOUT,
    "/admin": Urgency.ALWAYS,
    "/api/v1/admin": Urgency.ALWAYS,
    "/api/v1/cart": Urgency.CART,
    "/api/v1/orders": Urgency.CHECKOUT,
    "/api/v1/payments": Urgency.CHECKOUT,
    "/api/v1/sessions": Urgency.SIGN_IN,
    "/cart": Urgency.CART,
    "/checkout": Urgency.CHECKOUT,
    "/orders": Urgency.CHECKOUT,
    "/sign-in": Urgency.SIGN_IN,
}
"""Who goes first through the gateway itself; as urgent as what the routes behind it say, or more."""

T = TypeVar("T")


@dataclass
class Node(Generic[T]):
    """What a path that ends here is given, if anything, and what follows below, by segment."""

    leaf: T | None = None
    below: dict[str, Node[T]] = field(default_factory=dict)


def tree(table: Mapping[str, T]) -> Node[T]:
    """The table, segment by segment."""
    root = Node[T]()
    for pattern, leaf in table.items():
        node = root
        for segment in filter(None, pattern.split("/")):
            node = node.below.setdefault(segment, Node[T]())
        node.leaf = leaf
    return root


def leaf_of(path: str, root: Node[T]) -> T:
    """What the longest beginning of the path that fits is given."""
    found = _deepest(root, [segment for segment in path.split("/") if segment], 0)
    assert found is not None, "the root is given something"
    return found[1]


def _deepest(node: Node[T], segments: list[str], at: int) -> tuple[int, T] | None:
    best = None if node.leaf is None else (at, node.leaf)
    if at == len(segments):
        return best
    for segment in (segments[at], "*"):
        below = node.below.get(segment)
        deeper = _deepest(below, segments, at + 1) if below else None
        if deeper and (best is None or deeper[0] > best[0]):
            best = deeper
    return best
