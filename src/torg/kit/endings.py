"""What instances tell each other by Redis of sessions that end or change: whoever holds an identity of one looks it up anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from torg.kit.messages import encode
from torg.kit.redis import Missed, Redis

CHANNEL: Final = "sessions.ended"


class Ended(msgspec.Struct, frozen=True, array_like=True):
    """Sessions by id, and the hashes of their access tokens."""

    sessions: tuple[str, ...]
    tokens: tuple[str, ...]


_ended = msgspec.json.Decoder(Ended).decode


def told(ended: Ended) -> tuple[str, bytes]:
    """Where to publish it, and what."""
    return Redis.channel(CHANNEL), encode(ended)


def hear(redis: Redis, heard: Callable[[Ended], None], missed: Missed) -> None:
    """Has `heard` told of each; after `missed` anything may have ended."""
    redis.hear(CHANNEL, lambda message: heard(_ended(message)), missed)
