"""What reviews need around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from torg.contexts.review.contracts import Distribution, Reply, Status
from torg.contexts.review.model import Review
from torg.kit.deps import Deps
from torg.kit.pages import Page
from torg.kit.store import Transaction

Sort = Literal["newest", "helpful"]


class ReviewStore(Protocol):
    """Reviews, votes, what was delivered to whom, and products' ratings."""

    async def note_delivery(self, tx: Transaction, user_id: str, product_ids: Sequence[str], at: datetime) -> None: ...
    async def received(self, user_id: str, product_id: str) -> bool: ...

    async def name_author(self, tx: Transaction, user_id: str, shown: str) -> None:
        """What is shown of their name, on all that they wrote; nothing any more is an empty name."""
        ...

    async def forget_person(self, tx: Transaction, user_id: str) -> None:
        """Their name and what they received; reviews stay, without a name."""
        ...

    async def add(self, tx: Transaction, review: Review) -> bool:
        """False when its author wrote one of this product before."""
        ...

    async def find(self, review_id: str, tx: Transaction | None = None) -> Review | None: ...
    async def find_own(self, product_id: str, user_id: str) -> Review | None: ...

    async def settle(self, tx: Transaction, review: Review, before: Status) -> Distribution | None:
        """Files a decision on a review that had that status before, and gives the product's stars if they have changed by it. Raises
        ConcurrentChange when somebody else decided first."""
        ...

    async def vote(self, tx: Transaction, review_id: str, user_id: str, helpful: bool) -> None: ...
    async def reply(self, tx: Transaction, review_id: str, reply: Reply) -> None: ...
    async def stars(self, product_id: str) -> Distribution: ...
    async def published(self, product_id: str, sort: Sort, cursor: str, limit: int) -> Page[Review]: ...

    async def with_status(self, status: Status, cursor: str, limit: int) -> Page[Review]:
        """Oldest first."""
        ...

    async def written_by(self, user_id: str, cursor: str, limit: int) -> Page[Review]:
        """Newest first."""
        ...

    async def rated(self, after: str, limit: int) -> Sequence[str]:
        """Products with reviews or a rating, in the order of their ids, behind one."""
        ...

    async def recount(self, tx: Transaction, after: str, last: str) -> Mapping[str, Distribution]:
        """Counts stars and votes anew for the products behind `after` up to `last`; the stars of those that had others."""
        ...

    async def counted(self, product_id: str) -> Distribution:
        """A product's stars, by a recount of its published reviews."""
        ...

    async def miscounted(self, product_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Of these products, sentences on stars, and on reviews' votes, that are not what a recount gives."""
        ...


@dataclass(frozen=True)
class ReviewDeps(Deps):
    reviews: ReviewStore
