"""The rules of reviews: what a decision changes, how stars become a rating, and how much of a name is shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from torg.contexts.review.contracts import Decision, Distribution, Reply, ReviewPublished, ReviewRejected, ReviewView, Status
from torg.kit.errors import FieldError, Invalid
from torg.kit.messages import Event
from torg.kit.values import Language

NAME_LENGTH = 40  # characters of a first name that are shown
STATUS_AFTER: dict[Decision, Status] = {"approve": "published", "reject": "rejected"}
SOMEBODY = {Language.EN: "A customer", Language.RU: "Покупатель"}
ERASED = {Language.EN: "A former customer", Language.RU: "Бывший покупатель"}


@dataclass(frozen=True)
class Review:
    """A review with the name to show of its author: None while it is unknown, empty once they were erased."""

    id: str
    product_id: str
    user_id: str
    rating: int
    title: str
    text: str
    created_at: datetime
    status: Status = "pending"
    reason: str = ""
    helpful: int = 0
    unhelpful: int = 0
    reply: Reply | None = None
    author: str | None = None

    def view(self, language: Language) -> ReviewView:
        return ReviewView(
            id=self.id, product_id=self.product_id, author=_author(self.author, language), rating=self.rating, title=self.title, text=self.text,
            status=self.status, created_at=self.created_at, helpful=self.helpful, unhelpful=self.unhelpful, reply=self.reply, reason=self.reason,
        )  # fmt: skip


def decide(review: Review, decision: Decision, reason: str) -> Review:
    """The review after a moderator's decision; the very same one where that was decided before. Raises Invalid for a rejection without a reason."""
    if review.status == STATUS_AFTER[decision]:
        return review
    if decision == "reject" and not reason:
        raise Invalid.fields(FieldError("reason", "missing", "say why it is rejected: its author reads it"))
    return replace(review, status=STATUS_AFTER[decision], reason=reason)


def decided(review: Review) -> Event:
    """What is told of a decision."""
    if review.status == "published":
        return ReviewPublished(review_id=review.id, product_id=review.product_id, user_id=review.user_id, rating=review.rating)
    return ReviewRejected(review_id=review.id, product_id=review.product_id, user_id=review.user_id, reason=review.reason)


def counted(before: Status, after: Status) -> int:
    """How many more reviews a product's rating is made of after such a change."""
    return (after == "published") - (before == "published")


def total(stars: Distribution) -> int:
    return stars.one + stars.two + stars.three + stars.four + stars.five


def average_hundredths(stars: Distribution) -> int:
    """The mean rating in hundredths, a half rounded up; 0 without reviews."""
    count, points = total(stars), stars.one + 2 * stars.two + 3 * stars.three + 4 * stars.four + 5 * stars.five
    return (200 * points + count) // (2 * count) if count else 0


def shown_name(full_name: str) -> str:
    """First name and initial: "Anna P." for Anna Petrova."""
    first, *others = full_name.split() or [""]
    return f"{first[:NAME_LENGTH]} {others[-1][0]}." if others else first[:NAME_LENGTH]


def _author(name: str | None, language: Language) -> str:
    if name is None:
        return SOMEBODY[language]
    return name or ERASED[language]
