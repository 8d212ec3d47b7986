from __future__ import annotations

from torg.kit.testing.kafka import broker
from torg.kit.testing.postgres import postgres_url

__all__ = ["broker", "postgres_url"]
