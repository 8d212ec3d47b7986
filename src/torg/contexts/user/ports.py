"""What users need around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from torg.contexts.user.contracts import AddressView, ConsentView, Purpose
from torg.contexts.user.model.accounts import Account
from torg.contexts.user.model.api_keys import ApiKey
from torg.contexts.user.model.factors import Totp
from torg.contexts.user.model.keys import Key
from torg.contexts.user.model.links import OneTimeLink
from torg.contexts.user.model.oauth import Client, ClientGrant, Code, LogoutNotice
from torg.contexts.user.model.outside import OutsideIdentity
from torg.contexts.user.model.passkeys import Passkey, Shown
from torg.contexts.user.model.sessions import Live, Session
from torg.kit.deps import Deps
from torg.kit.dpop import Proofs
from torg.kit.pages import Page
from torg.kit.sealing import Sealer
from torg.kit.store import Transaction
from torg.kit.tokens import Checker, Signer
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

    async def find_outside(self, issuer: str, subject: str) -> str | None:
        """The id of whoever a provider outside knows by this name."""
        ...

    async def outside_of(self, user_id: str) -> Sequence[str]:
        """The providers outside that they may sign in with, by their issuers."""
        ...

    async def link_outside(self, tx: Transaction, issuer: str, subject: str, user_id: str) -> None: ...
    async def unlink_outside(self, tx: Transaction, user_id: str) -> None:
        """From all providers."""
        ...

    async def erase(self, tx: Transaction, user_id: str) -> None:
        """Blanks all that is personal, addresses and the history in the log included."""
        ...

    async def page(self, prefix: str, cursor: str, limit: int) -> Page[Account]:
        """Newest first, those whose e-mail address begins with `prefix`."""
        ...

    async def former_passwords(self, user_id: str) -> Sequence[str]:
        """Hashes of those that may not come back."""
        ...

    async def keep_former(self, tx: Transaction, user_id: str, hashed: str, most: int) -> None:
        """Drops those before the last `most`."""
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

    def at_hand(self, access_token: str, now: datetime) -> Live | None:
        """Whoever holds the token, as far as that was looked up a moment ago."""
        ...

    async def holder(self, access_token: str, now: datetime) -> Live | None: ...
    async def find(self, session_id: str, tx: Transaction | None = None) -> Session | None: ...
    async def of(self, user_id: str) -> Sequence[Session]: ...
    async def known_address(self, user_id: str, address: str) -> bool:
        """Whether the user has a session from this network address."""
        ...

    async def open(self, tx: Transaction, session: Session) -> None: ...

    async def by_access_token(self, tx: Transaction, token: str) -> Session | None: ...

    async def by_refresh_token(self, tx: Transaction, token: str) -> tuple[Session, bool] | None:
        """The session of a refresh token, and whether the token is its newest one; False means that it was used before."""
        ...

    async def renew(self, tx: Transaction, before: Session, after: Session) -> None: ...
    async def prove(self, tx: Transaction, session_id: str, amr: str, now: datetime) -> None:
        """Files that they have shown anew who they are, and by what they have by now."""
        ...

    async def end(self, tx: Transaction, session_id: str) -> None:
        """With the clients that were let in there, which are to be told."""
        ...

    async def end_all(self, tx: Transaction, user_id: str, but: str = "") -> None:
        """Ends a user's sessions, except the one named."""
        ...

    async def forget_held(self, tx: Transaction, user_id: str) -> None:
        """Has what is at hand about a user looked up anew: their roles have changed."""
        ...

    async def outlived(self, limit: int) -> dict[str, int]:
        """So many erased users who have sessions, and how many those are."""
        ...

    async def drop_expired(self, tx: Transaction, now: datetime) -> None: ...


class ApiKeyStore(Protocol):
    """API keys; who holds one is asked of the sessions, which know of both."""

    async def add(self, tx: Transaction, key: ApiKey) -> None: ...
    async def save(self, tx: Transaction, key: ApiKey) -> None:
        """Its tier and its end."""
        ...

    async def end(self, tx: Transaction, key: ApiKey) -> None: ...
    async def end_all(self, tx: Transaction, user_id: str) -> None: ...
    async def load(self, tx: Transaction, key_id: str) -> ApiKey | None: ...
    async def of(self, user_id: str, tx: Transaction | None = None) -> Sequence[ApiKey]:
        """Newest first, those too that have ended by themselves."""
        ...

    async def page(self, prefix: str, user_id: str, cursor: str, limit: int) -> Page[ApiKey]: ...

    def used(self, key_id: str, now: datetime) -> None:
        """Notes it in memory: writing it for each request would cost more than the request."""
        ...

    def take_used(self) -> Mapping[str, datetime]: ...
    async def file_used(self, tx: Transaction, used: Mapping[str, datetime]) -> None: ...


class ClientStore(Protocol):
    """Clients, and what people have granted them. A grant is a session that is a client's: it is renewed and ends as all are."""

    async def all(self) -> Sequence[Client]: ...
    async def find(self, client_id: str) -> Client | None: ...
    async def add(self, tx: Transaction, client: Client) -> None: ...
    async def save(self, tx: Transaction, client: Client) -> None:
        """Its secret, and whether it may do anything."""
        ...

    async def add_code(self, tx: Transaction, code: Code) -> None: ...
    async def code(self, tx: Transaction, hashed: str) -> Code | None:
        """Nobody else gets it until the transaction is over."""
        ...

    async def spend(self, tx: Transaction, code: Code, session_id: str) -> None: ...
    async def drop_codes(self, tx: Transaction, before: datetime) -> None: ...
    async def add_grant(self, tx: Transaction, grant: ClientGrant) -> None: ...

    async def bind(self, tx: Transaction, session_id: str, bound_to: str) -> None:
        """The grant's tokens are bound to this key from now on; to none where it is empty."""

    async def grant(self, tx: Transaction, session_id: str) -> ClientGrant | None: ...
    async def sessions_of(self, tx: Transaction, client_id: str, user_id: str = "") -> Sequence[str]: ...

    async def consented(self, user_id: str, client_id: str, tx: Transaction | None = None) -> str:
        """The scopes that they have agreed to; empty for none."""
        ...

    async def consents(self, user_id: str) -> Sequence[ConsentView]: ...
    async def consent(self, tx: Transaction, user_id: str, client_id: str, scope: str, now: datetime) -> None: ...
    async def withdraw(self, tx: Transaction, user_id: str, client_id: str = "") -> int:
        """Of all clients where none is named; gives how many it were."""
        ...

    async def due(self, now: datetime, limit: int) -> Sequence[LogoutNotice]: ...
    async def told(self, tx: Transaction, notice: LogoutNotice) -> None: ...
    async def tell_again(self, tx: Transaction, notice: LogoutNotice, at: datetime) -> None: ...


class FactorStore(Protocol):
    """Second factors: of each user one secret at most, recovery codes, and whether a passkey is asked for after the password."""

    async def find(self, user_id: str, tx: Transaction | None = None) -> Totp | None: ...
    async def put(self, tx: Transaction, totp: Totp) -> None: ...
    async def remove(self, tx: Transaction, user_id: str) -> None: ...
    async def put_codes(self, tx: Transaction, user_id: str, hashes: Iterable[str]) -> None:
        """In place of those before."""
        ...

    async def take_code(self, tx: Transaction, user_id: str, hashed: str) -> bool: ...
    async def codes_left(self, user_id: str, tx: Transaction | None = None) -> int: ...
    async def asks_for_passkey(self, user_id: str, tx: Transaction | None = None) -> bool:
        """Whether they want to be asked for a passkey after the password."""
        ...

    async def ask_for_passkey(self, tx: Transaction, user_id: str, since: datetime | None) -> None:
        """None: no more."""
        ...


class FamiliarStore(Protocol):
    """What people have signed in with before, as hashes."""

    async def is_new(self, tx: Transaction, user_id: str, hashed: str, now: datetime) -> bool:
        """Whether this has not been seen of somebody who has come before with something else; from now on it has been."""
        ...

    async def drop_old(self, tx: Transaction, before: datetime) -> None: ...


class Devices(Protocol):
    """What people's devices are asked, and whether what they answer is true; their holder has proven to the device who they are."""

    def ask_for_new(self, user_id: str, email: str, name: str, challenge: bytes, known: Sequence[str]) -> str: ...
    def ask_for_any(self, challenge: bytes, known: Sequence[str] = ()) -> str:
        """For one of those `known`, where they are."""
        ...

    def new(self, credential: str, challenge: bytes) -> Shown | None: ...
    def named(self, credential: str) -> str:
        """Which passkey it says that it is; empty for what can't be read."""
        ...

    def proven(self, credential: str, challenge: bytes, passkey: Passkey) -> Shown | None: ...


class PasskeyStore(Protocol):
    """Passkeys, and which challenges were answered."""

    async def of(self, user_id: str, tx: Transaction | None = None) -> Sequence[Passkey]: ...
    async def find(self, id: str) -> Passkey | None: ...
    async def add(self, tx: Transaction, passkey: Passkey) -> bool:
        """False where it is somebody's already."""
        ...

    async def used(self, tx: Transaction, id: str, sign_count: int, now: datetime) -> None: ...
    async def remove(self, tx: Transaction, user_id: str, id: str) -> bool: ...
    async def spend(self, tx: Transaction, hashed: str, until: datetime) -> bool:
        """False where it was answered before."""
        ...

    async def drop_spent(self, tx: Transaction, now: datetime) -> None: ...


class LinkStore(Protocol):
    """Links that letters carry, of each purpose one for a user; and who is to be sent one to a new password."""

    async def put(self, tx: Transaction, link: OneTimeLink) -> None:
        """The one before works no more."""
        ...

    async def take(self, tx: Transaction, hashed: str, purpose: Purpose, now: datetime) -> OneTimeLink | None: ...
    async def whose(self, hashed: str, purpose: Purpose, now: datetime) -> str:
        """The id of whom it was sent to, if it still works; it goes on to."""
        ...

    async def sent_to(self, user_id: str, purpose: Purpose, now: datetime) -> str:
        """Where the link went that still works; empty for none."""
        ...

    async def drop(self, tx: Transaction, user_id: str, purpose: Purpose) -> None: ...
    async def drop_elsewhere(self, tx: Transaction, user_id: str, email: str) -> None:
        """Those that went to another address than this one."""
        ...

    async def drop_expired(self, tx: Transaction, now: datetime) -> None: ...
    async def ask(self, tx: Transaction, id: str, email: str, now: datetime) -> None: ...
    async def asked(self, limit: int) -> Sequence[tuple[str, str]]:
        """Ids of what was asked, and the addresses, in the order that they came."""
        ...

    async def answered(self, tx: Transaction, id: str) -> bool: ...


class Asks(Protocol):
    """Asks addresses that others have named. Raises Refused."""

    async def get_json(self, url: str, **headers: str) -> object: ...
    async def post_form(self, url: str, form: Mapping[str, str], **headers: str) -> object: ...


class Provider(Protocol):
    """An OpenID provider outside. Raises Unavailable where it can't be asked, Unauthenticated `outside.refused` where it is not to be believed."""

    @property
    def issuer(self) -> str: ...

    async def start(self, state: str, nonce: str, challenge: str, anew: bool = False) -> str:
        """Where to send the browser. `anew`: they are to show there again who they are."""
        ...

    async def identify(self, code: str, verifier: str, nonce: str) -> OutsideIdentity: ...


class Seals(Protocol):
    """What browsers keep for us, and may neither read nor change."""

    def seal(self, data: bytes, about: str) -> str: ...
    def open(self, sealed: str, about: str) -> bytes | None: ...


class Keys(Protocol):
    """What tokens are signed with, and believed by. Every process holds the ring for a moment; its first key is made when it is first asked for."""

    async def signer(self, now: datetime) -> Signer: ...
    async def checker(self, now: datetime) -> Checker: ...

    async def all(self) -> Sequence[Key]:
        """Those too that are believed no more, for as long as they are kept; the one that signs last is the last."""
        ...

    async def rotate(self, tx: Transaction, kid: str, now: datetime, compromised: bool = False) -> Sequence[Key]:
        """Adds a key of this name, and gives the ring as it is then."""
        ...

    async def drop_old(self, tx: Transaction, now: datetime) -> None: ...


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
    """`issuer` is whose tokens these are: the shop's public address. `provider_factors` are the words (`amr`, `acr`) by which the provider outside is believed
    that it has asked for a second factor. `letters` seals what nobody but a letter's reader is to see. `strict_with_staff`: their passwords are to be as PCI
    DSS wants them."""

    users: UserStore
    addresses: AddressStore
    sessions: SessionStore
    api_keys: ApiKeyStore
    clients: ClientStore
    outbound: Asks
    provider: Provider | None
    provider_factors: frozenset[str]
    sealer: Seals
    keys: Keys
    proofs: Proofs
    issuer: str
    passwords: Passwords
    factors: FactorStore
    passkeys: PasskeyStore
    familiar: FamiliarStore
    devices: Devices
    links: LinkStore
    letters: Sealer
    attempts: Attempts
    randomness: Randomness
    strict_with_staff: bool = False
