"""SQL port: plain statements with :named parameters, over SQLite here and PostgreSQL in a fleet."""

from torg.kit.sql.port import Database, Row, SqlTransaction

__all__ = ["Database", "Row", "SqlTransaction"]
