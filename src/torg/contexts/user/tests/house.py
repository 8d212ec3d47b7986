"""A user context on a throw-away store, with cheap hashes and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from torg.contexts.cart import contracts as cart
from torg.contexts.order import contracts as order
from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.api_keys_sql import SqlApiKeyStore
from torg.contexts.user.adapters.attempts_memory import MemoryAttempts
from torg.contexts.user.adapters.attempts_redis import RedisAttempts
from torg.contexts.user.adapters.factors_sql import SqlFactorStore
from torg.contexts.user.adapters.familiar_sql import SqlFamiliarStore
from torg.contexts.user.adapters.hashing_argon2 import Argon2Passwords
from torg.contexts.user.adapters.keys_sql import SqlKeys
from torg.contexts.user.adapters.links_sql import SqlLinkStore
from torg.contexts.user.adapters.oauth_sql import SqlClientStore
from torg.contexts.user.adapters.passkeys_webauthn import SqlPasskeyStore, WebAuthn
from torg.contexts.user.adapters.sessions_redis import RedisSessionStore
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.adapters.store_sql import SqlAddressStore, SqlUserStore
from torg.contexts.user.handlers import HANDLERS
from torg.contexts.user.ports import UserDeps
from torg.contexts.user.routes import routes
from torg.kit.auth import Identity
from torg.kit.dpop import Proofs
from torg.kit.http import App
from torg.kit.messages import Message, Registry
from torg.kit.module import bound
from torg.kit.outbound import Refused
from torg.kit.redis import Redis
from torg.kit.sealing import Sealer
from torg.kit.testing import TestClock, answering, open_store, test_ids
from torg.kit.values import new_id

MIGRATIONS = Path(__file__).parents[1] / "migrations"
GOOD = "Long-1234-and-better"
CHEAP_KIB = 8
ISSUER = "https://torg.example"


class Told:
    """Implements Asks: keeps what was sent, and refuses while it is `away`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.answers: dict[str, object] = {}
        self.away = False

    async def get_json(self, url: str, **_: str) -> object:
        if self.away or url not in self.answers:
            raise Refused(f"{url} is away")
        return self.answers[url]

    async def post_form(self, url: str, form: Mapping[str, str], **_: str) -> object:
        if self.away:
            raise Refused(f"{url} is away")
        self.sent.append((url, dict(form)))
        return self.answers.get(url)


class House:
    """The context, and what it did to others: `clock` moves it, `app` answers HTTP, `merged` lists the carts it asked to merge."""

    def __init__(self, deps: UserDeps, clock: TestClock) -> None:
        assert isinstance(deps.outbound, Told), "no test asks anybody outside"
        self.deps, self.clock, self.told = deps, clock, deps.outbound
        handlers = bound(HANDLERS, deps)

        async def authenticate(token: str) -> Identity | None:
            found: Identity | None = await self.do(c.Authenticate(token))
            return found

        self.app = App(clock, new_id, authenticate, proofs=deps.proofs)
        self.app.add(routes(deps), lambda kind: handlers[kind], deps.store)

    def beside(self, redis: Redis) -> House:
        """Another instance over the same SQL, which shares what it can by Redis."""
        sessions = RedisSessionStore(self.deps.store.database, self.clock, redis)
        api_keys = SqlApiKeyStore(self.deps.store.database, sessions)
        return House(replace(self.deps, sessions=sessions, api_keys=api_keys, attempts=RedisAttempts(redis)), self.clock)

    async def do(self, message: Message) -> Any:
        return await bound(HANDLERS, self.deps)[type(message)](message)

    async def register(self, email: str = "anna@example.com", password: str = GOOD) -> c.User:
        user: c.User = await self.do(c.RegisterUser(email=email, password=password, full_name="Anna Petrova", city="Moscow"))
        return user

    async def sign_in(self, email: str = "anna@example.com", password: str = GOOD, address: str = "10.0.0.1", cart: str = "") -> c.Tokens:
        tokens: c.Tokens = await self.do(c.SignIn(email=email, password=password, address=address, guest_cart_id=cart))
        return tokens

    async def holder(self, tokens: c.Tokens) -> Identity:
        found: Identity | None = await self.do(c.Authenticate(tokens.access_token))
        assert found is not None, "the access token is dead"
        return found

    async def link_of(self, user_id: str, purpose: str) -> c.Link:
        """The newest one that a letter carries, as whoever gets the letter reads it."""
        made = [row.message for row in await self.deps.store.log.stream(user_id) if isinstance(row.message, c.LinkMade) and row.message.purpose == purpose]
        opened = self.deps.letters.open(made[-1].sealed, made[-1].link_id)
        assert opened
        return msgspec.json.decode(opened, type=c.Link)

    async def log_of(self, user_id: str) -> list[str]:
        return [row.message.NAME for row in await self.deps.store.log.stream(user_id)]


@asynccontextmanager
async def open_house(folder: Path, answers: Mapping[type[Message], Callable[[Any], Any]] | None = None, redis: Redis | None = None) -> AsyncIterator[House]:
    clock, passwords = TestClock(), Argon2Passwords(CHEAP_KIB)
    async with open_store(folder, "user", clock, Registry([c, cart, order]), MIGRATIONS) as store:
        database = store.database
        count = iter(range(1, 1_000_000))

        def random(size: int) -> bytes:
            return next(count).to_bytes(size)

        sessions, told = SqlSessionStore(database, clock), Told()
        deps = UserDeps(
            call=answering(answers or {}), clock=clock, new_id=test_ids(), store=store, currency="RUB", randomness=random,
            users=SqlUserStore(database, clock), addresses=SqlAddressStore(database, clock), sessions=sessions,
            api_keys=SqlApiKeyStore(database, sessions), clients=SqlClientStore(database),
            outbound=told, provider=None, provider_factors=frozenset(), sealer=Sealer("a secret", "browsers", random),
            keys=SqlKeys(store, ISSUER, Sealer("a secret", "keys", random), random), issuer=ISSUER, proofs=Proofs(ISSUER, clock),
            factors=SqlFactorStore(database), passkeys=SqlPasskeyStore(database), familiar=SqlFamiliarStore(), devices=WebAuthn(ISSUER),
            links=SqlLinkStore(database), letters=Sealer("a secret", c.LETTERS, random),
            passwords=passwords, attempts=MemoryAttempts(),
        )  # fmt: skip
        house = House(deps, clock)
        yield house.beside(redis) if redis else house
        await passwords.close()
