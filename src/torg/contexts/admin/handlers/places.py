"""Where the rows of a stream are."""

from __future__ import annotations

from torg.contexts.admin.ports import AdminDeps
from torg.kit.shards import context_of_part, named, shard_of_id


def part_of(context: str, stream: str, deps: AdminDeps) -> str:
    """Of a context that is spread over several databases the part whose log has the stream."""
    parts = sum(context_of_part(name) == context for name in deps.desks)
    return named(context, shard_of_id(stream, parts)) if parts > 1 else context
