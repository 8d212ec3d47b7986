"""The engines that `torg engines` knows: a line each. Those of a fleet are meant when none is named, the others only when they are."""

from __future__ import annotations

from torg.engines.clickhouse import ClickHouse
from torg.engines.consul import Consul
from torg.engines.elastic import Elastic
from torg.engines.kafka import Kafka
from torg.engines.mongo import Mongo
from torg.engines.port import Engine, EngineRefused
from torg.engines.postgres import Postgres
from torg.engines.redis import Redis
from torg.engines.toxiproxy import Toxiproxy

ENGINES: tuple[Engine, ...] = (
    Postgres(),
    Redis(),
    Kafka(),
    ClickHouse(),
    Elastic(),
    Mongo(),
)  # fmt: skip
ON_REQUEST: tuple[Engine, ...] = (
    Consul(),
    Toxiproxy(),
)  # fmt: skip


def named(name: str) -> Engine:
    """Raises EngineRefused when there is none of that name."""
    for engine in (*ENGINES, *ON_REQUEST):
        if engine.name == name:
            return engine
    raise EngineRefused(f"There is no engine {name!r}; known are {', '.join(engine.name for engine in (*ENGINES, *ON_REQUEST))}.")
