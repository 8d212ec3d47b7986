"""What a process shares with the others by Redis, put together: kept answers, Idempotency-Keys, and whatever its contexts hear."""

from __future__ import annotations

from torg.kit import endings
from torg.kit.http.shared_cache import SharedResponseCache
from torg.kit.http.shared_keys import SharedKeys
from torg.kit.redis import Redis
from torg.kit.rpc.fleet import Faces
from torg.kit.tasks import Supervisor
from torg.kit.values import NewId


class Sharing:
    """`name` tells kinds of processes apart that answer one address differently. Raises ValueError for a URL that can't be Redis's."""

    def __init__(self, url: str, name: str, new_id: NewId) -> None:
        self.redis = Redis(url)
        self.cache, self.keys = SharedResponseCache(self.redis, name, new_id), SharedKeys(self.redis, new_id)

    def recognise(self, faces: Faces) -> None:
        """Has an edge's identities forgotten as soon as their sessions end."""
        endings.hear(self.redis, lambda ended: faces.forget(ended.tokens), faces.forget_all)

    def start(self, supervisor: Supervisor) -> None:
        """Once all contexts are built: they have said what they want to hear."""
        supervisor.start("redis.messages", self.redis.listen)
        supervisor.start("redis.purges", self.cache.settle)

    async def close(self) -> None:
        """After the tasks have ended."""
        await self.redis.close()
