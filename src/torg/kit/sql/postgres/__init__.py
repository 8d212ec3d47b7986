"""PostgreSQL adapter: one schema and role per context, a bounded pool, snapshot isolation.

SQLite lets one transaction write at a time. Here they run beside one another, each on a snapshot (REPEATABLE READ): of two that write the same row or
key the second is refused (`Interleaved`) and done anew by whoever dispatched its message. What a snapshot does not see is a rule that spans rows which
two transactions read and neither writes: every such rule of the shop is anchored in a row or a constraint that both must touch (decision 16)."""

from torg.kit.sql.postgres.address import Address, prepare
from torg.kit.sql.postgres.database import PostgresDatabase, connect

__all__ = ["Address", "PostgresDatabase", "connect", "prepare"]
