"""Beginnings of paths, and what is found by the longest that fits; * stands for any one segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar


def fault_of_path(path: str) -> str:
    """Empty for one that a declaration may name."""
    if not path.startswith("/") or (path != "/" and path.endswith("/")) or "//" in path or "?" in path:
        return "a path begins with a slash, and ends with none: /api/v1/orders"
    return ""


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
    found = deepest(root, segments_of(path), 0)
    assert found is not None, "the root is given something"
    return found[1]


def segments_of(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def deepest(node: Node[T], segments: list[str], at: int) -> tuple[int, T] | None:
    """How many segments the longest beginning that fits has, and what it is given; None where none does."""
    best = None if node.leaf is None else (at, node.leaf)
    if at == len(segments):
        return best
    for segment in (segments[at], "*"):
        below = node.below.get(segment)
        deeper = deepest(below, segments, at + 1) if below else None
        if deeper and (best is None or deeper[0] > best[0]):
            best = deeper
    return best


def exactly(path: str, root: Node[T]) -> T | None:
    """What is given to a path as long as this one, a word before a *; None where nothing is."""
    return _exactly(root, segments_of(path), 0)


def _exactly(node: Node[T], segments: list[str], at: int) -> T | None:
    if at == len(segments):
        return node.leaf
    for segment in (segments[at], "*"):
        below = node.below.get(segment)
        if below is not None and (found := _exactly(below, segments, at + 1)) is not None:
            return found
    return None
