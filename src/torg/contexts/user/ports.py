"""What users need around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torg.contexts.user.contracts import AddressView
from torg.contexts.user.model import Account, Live, Session
from torg.kit.deps import Deps
from torg.kit.pages import Page
from torg.kit.store import Transaction
from torg.kit.values import Randomness


class UserStore(Protocol):
    """Accounts. An erased one is found by nobody."""

    async def add(self, tx: Transaction, account: Account) -> None:
        """Raises DomainError `user.email_taken`."""
        ...

    async def save(self, tx: Transaction, account: Account) -> None:
        """Raises DomainError `user.email_taken`."""
        ...

    async def find(self, user_id: str) -> Account | None: ...
    async def find_by_email(self, email: str) -> Account | None: ...

    async def load(self, tx: Transaction, user_id: str) -> Account:
        """Raises NotFound `user.not_found`."""
        ...

    async def erase(self, tx: Transaction, user_id: str) -> None:
        """Blanks all that is personal, addresses and the history in the log included."""
        ...

    async def page(self, prefix: str, cursor: str, limit: int) -> Page[Account]:
        """Newest first, those whose e-mail address begins with `prefix`."""
        ...

    async def has_admin_besides(self, tx: Transaction, user_id: str) -> bool: ...


class AddressStore(Protocol):
    """Saved addresses; at most one of a user's is the default."""

    async def of(self, user_id: str, tx: Transaction | None = None) -> Sequence[AddressView]:
        """The default first, then oldest first."""
        ...

    async def put(self, tx: Transaction, user_id: str, address: AddressView) -> None: ...
    async def remove(self, tx: Transaction, user_id: str, address_id: str) -> None: ...


class SessionStore(Protocol):
    """Sessions, with the live ones at hand: asking who holds a token takes microseconds. A change shows at once in the process that made it, and
    within seconds in others."""

    async def holder(self, access_token: str, now: datetime) -> Live | None: ...
    async def of(self, user_id: str) -> Sequence[Session]: ...
    async def known_address(self, user_id: str, address: str) -> bool:
        """Whether the user has a session from this network address."""
        ...

    async def open(self, tx: Transaction, session: Session) -> None: ...

    async def by_refresh_token(self, tx: Transaction, token: str) -> tuple[Session, bool] | None:
        """The session of a refresh token, and whether the token is its newest one; False means that it was used before."""
        ...

    async def renew(self, tx: Transaction, before: Session, after: Session) -> None: ...
    async def end(self, tx: Transaction, session_id: str) -> None: ...

    async def end_all(self, tx: Transaction, user_id: str, but: str = "") -> None:
        """Ends a user's sessions, except the one named."""
        ...

    async def forget_held(self, tx: Transaction, user_id: str) -> None:
        """Has what is at hand about a user looked up anew: their roles have changed."""
        ...

    async def drop_expired(self, tx: Transaction, now: datetime) -> None: ...


class Passwords(Protocol):
    """Hashes passwords slowly, on purpose, and aside from the event loop. Raises Overloaded when too many wait."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, hashed: str, password: str, address: str = "", known: bool = False) -> bool:
        """For UNUSABLE it takes as long, and says no. Where many want it, those go first whose address is `known` to have been right before, and those last
        whose `address` has asked most of late without being right."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        ...


class Attempts(Protocol):
    """Counts wrong passwords by key. Raises Unavailable where they can't be counted: then no password may be tried."""

    async def paused_for(self, keys: Iterable[str], now: datetime) -> float:
        """Seconds until all of these let the next try through; 0 for at once."""
        ...

    async def failed(self, free: Mapping[str, int], now: datetime) -> float:
        """As one step: counts one more for each key, of which so many cost no pause, and gives 0. Where one of them is paused nothing is counted, and it
        gives the seconds: of many tries sent at once, those behind the free ones learn nothing."""
        ...

    async def forget(self, key: str) -> None: ...


@dataclass(frozen=True)
class UserDeps(Deps):
    users: UserStore
    addresses: AddressStore
    sessions: SessionStore
    passwords: Passwords
    attempts: Attempts
    randomness: Randomness
