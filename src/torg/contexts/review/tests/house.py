"""A review context on a throw-away file, and people who write, moderate and vote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from torg.contexts.order import contracts as order
from torg.contexts.order.contracts import OrderDelivered
from torg.contexts.review import contracts as c
from torg.contexts.review.adapters.audit_sql import SqlReviewAudit
from torg.contexts.review.adapters.store_sql import SqlReviewStore
from torg.contexts.review.handlers import HANDLERS, REACTIONS
from torg.contexts.review.ports import ReviewDeps
from torg.contexts.user import contracts as user
from torg.contexts.user.contracts import UserRegistered
from torg.kit.auth import Identity, Role
from torg.kit.calls import Handle
from torg.kit.messages import Command, Event, Message, Query, Registry
from torg.kit.module import bound
from torg.kit.testing import TestClock, answering, faults_of, open_store, test_ids
from torg.kit.values import Language

R = TypeVar("R")
MIGRATIONS = Path(__file__).parents[1] / "migrations"
CONTRACTS: list[ModuleType] = [c, order, user]
EN = Language.EN


def person(name: str, *roles: Role) -> Identity:
    return Identity(f"u-{name}", frozenset(roles or {Role.CUSTOMER}))


ANNA, BORIS, MODERATOR = person("anna"), person("boris"), person("moderator", Role.MODERATOR)


@dataclass(frozen=True)
class House:
    """Where reviews are asked for things."""

    deps: ReviewDeps
    clock: TestClock
    handlers: dict[type[Message], Handle]

    async def ask(self, message: Command[R] | Query[R]) -> R:
        reply: R = await self.handlers[type(message)](message)
        return reply

    async def tell(self, event: Event) -> None:
        """As the bus does: in one transaction."""
        async with self.deps.transaction():
            await self.handlers[type(event)](event)

    async def miscounted(self) -> list[str]:
        """What the auditor finds."""
        return await faults_of(SqlReviewAudit(self.deps.store, self.deps.reviews).invariants())

    async def deliver(self, *product_ids: str, to: Identity = ANNA) -> None:
        await self.tell(OrderDelivered(order_id="o", user_id=to.user_id, product_ids=product_ids))

    async def name(self, who: Identity, full_name: str) -> None:
        await self.tell(
            UserRegistered(user_id=who.user_id, email="", full_name=full_name, city="", language=EN, at=self.clock())
        )  # fmt: skip

    async def write(self, product_id: str = "1", rating: int = 5, by: Identity = ANNA, text: str = "Tasty") -> c.ReviewView:
        """Delivers the product before, and lets a minute pass after."""
        await self.deliver(product_id, to=by)
        written = await self.ask(c.WriteReview(product_id=product_id, author=by, language=EN, rating=rating, title="Tea", text=text))
        self.clock.advance(minutes=1)
        return written

    async def moderate(self, review_id: str, decision: c.Decision = "approve", reason: str = "seen") -> c.ReviewView:
        return await self.ask(c.ModerateReview(review_id=review_id, language=EN, decision=decision, reason=reason))

    async def publish(self, product_id: str = "1", rating: int = 5, by: Identity = ANNA) -> c.ReviewView:
        return await self.moderate((await self.write(product_id, rating, by)).id)

    async def vote(self, review_id: str, helpful: bool, by: Identity = BORIS) -> tuple[int, int]:
        view = await self.ask(c.Vote(review_id=review_id, voter=by, language=EN, helpful=helpful))
        return view.helpful, view.unhelpful

    async def shown(self, product_id: str = "1", viewer: Identity | None = None, **more: object) -> c.ProductReviews:
        return await self.ask(c.ListReviews(product_id=product_id, viewer=viewer, **{"language": EN, **more}))  # type: ignore[arg-type]

    async def events(self) -> list[Message]:
        """All that was told, oldest first."""
        return [row.message for row in await self.deps.store.log.tail(0, 10_000)]


@asynccontextmanager
async def open_house(folder: Path) -> AsyncIterator[House]:
    clock = TestClock()
    async with open_store(folder, "review", clock, Registry(CONTRACTS), MIGRATIONS) as store:
        deps = ReviewDeps(answering({}), clock, test_ids(), store, "USD", SqlReviewStore(store.database))
        yield House(deps, clock, {**bound(HANDLERS, deps), **bound(REACTIONS, deps)})
