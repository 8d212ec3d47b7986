"""What PostgreSQL and its driver complain of, in the kit's words."""

from __future__ import annotations

from typing import Final

import asyncpg

from torg.kit.errors import Interleaved, Occupied, Unavailable

AWAY: Final = (
    OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError, asyncpg.IdleInTransactionSessionTimeoutError, asyncpg.ReadOnlySQLTransactionError,
)  # fmt: skip
_INTERLEAVED: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.InvalidCachedStatementError)
_DEFECTS: Final = (asyncpg.DataError, asyncpg.UnsupportedClientFeatureError)


def said(error: BaseException) -> BaseException:
    """The kit's word for it: Interleaved, Occupied, Unavailable, or the error itself where it is a defect."""
    if isinstance(error, _INTERLEAVED):
        return Interleaved(str(error))
    if isinstance(error, asyncpg.UniqueViolationError):
        return Occupied(str(error))
    if isinstance(error, _DEFECTS) or (isinstance(error, asyncpg.InterfaceError) and "another operation is in progress" in str(error)):
        return error
    if isinstance(error, AWAY):
        return Unavailable(f"PostgreSQL does not answer as it should: {error or type(error).__name__}")
    return error
