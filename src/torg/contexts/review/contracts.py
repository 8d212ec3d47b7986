"""Reviews: written by who received the product, let through by moderators, voted on by others. Others may know a product's rating."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, Rule, message
from torg.kit.values import Language, Limit, ProductId, Text

Status = Literal["pending", "published", "rejected"]
Decision = Literal["approve", "reject"]
Rating = Annotated[int, msgspec.Meta(ge=1, le=5)]


class Reply(msgspec.Struct, frozen=True):
    """What the seller says to a review."""

    text: str
    at: datetime


class ReviewView(msgspec.Struct, frozen=True, kw_only=True):
    """A review. `author` is what the shop shows of their name; `helpful` and `unhelpful` count votes. Title and texts are as they were typed:
    whoever shows them escapes them. `reason`, for its author and moderators alone, is the moderator's."""

    id: str
    product_id: str
    author: str
    rating: int
    title: str
    text: str
    status: Status
    created_at: datetime
    helpful: int
    unhelpful: int
    reply: Reply | None = None
    reason: str = ""


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """How many reviews gave so many stars."""

    one: int = msgspec.field(default=0, name="1")
    two: int = msgspec.field(default=0, name="2")
    three: int = msgspec.field(default=0, name="3")
    four: int = msgspec.field(default=0, name="4")
    five: int = msgspec.field(default=0, name="5")


class ReviewPage(msgspec.Struct, frozen=True):
    items: tuple[ReviewView, ...]
    next_cursor: str | None


class ProductReviews(msgspec.Struct, frozen=True, kw_only=True):
    """A product's published reviews: a page of them, and how many there are of each rating. `own` is what the reader wrote, whatever its status."""

    items: tuple[ReviewView, ...]
    next_cursor: str | None
    total: int
    distribution: Distribution
    own: ReviewView | None = None


# ---------------------------------------------------------------- asked by readers and buyers


@message("review.list_of_product")
class ListReviews(Query[ProductReviews], frozen=True, kw_only=True):
    """The newest first, or those that most found helpful."""

    product_id: ProductId
    viewer: Identity | None
    language: Language
    sort: Literal["newest", "helpful"] = "newest"
    cursor: str = ""
    limit: Limit = 24


@message("review.list_own")
class ListMyReviews(Query[ReviewPage], frozen=True, kw_only=True):
    """All that the author wrote, newest first."""

    author: Identity
    language: Language
    cursor: str = ""
    limit: Limit = 24


@message("review.get")
class GetReview(Query[ReviewView], frozen=True, kw_only=True):
    """Raises NotFound `review.not_found`, also for one that is not published unless its author or a moderator asks."""

    review_id: str
    viewer: Identity | None
    language: Language


def _plain(text: str, _: datetime) -> str | None:
    lines = text.replace("\n", "").replace("\r", "").replace("\t", "")
    if not text.strip():
        return "write at least a word"
    return None if all(letter >= " " and letter != "\x7f" for letter in lines) else "must not have control characters"


def _one_line(text: str, now: datetime) -> str | None:
    return "must be one line" if "\n" in text or "\r" in text else _plain(text, now)


def _maybe_plain(text: str, now: datetime) -> str | None:
    return _plain(text, now) if text else None


ReviewText = Annotated[str, msgspec.Meta(min_length=1, max_length=5000)]
WRITTEN: dict[str, Rule] = {"title": _one_line, "text": _plain}
REASON: dict[str, Rule] = {"reason": _maybe_plain}


@message("review.write")
class WriteReview(Command[ReviewView], frozen=True, kw_only=True):
    """Readers see it once a moderator has let it through. Raises Forbidden `review.not_purchased` unless an order of the product was delivered to
    the author, DomainError `review.already_written`."""

    RULES = WRITTEN

    product_id: ProductId
    author: Identity
    language: Language
    rating: Rating
    title: Text
    text: ReviewText


class RatingsRebuilt(msgspec.Struct, frozen=True):
    """How many products were looked at, and how many of their ratings were wrong before."""

    products: int
    mended: int
    seconds: float


@message("review.rebuild_ratings")
class RebuildRatings(Command[RatingsRebuilt], frozen=True):
    """Counts ratings anew from the published reviews, and what is helpful from the votes, while both are shown; others are told of ratings that were wrong."""

    IDEMPOTENT = True


@message("review.vote")
class Vote(Command[ReviewView], frozen=True, kw_only=True):
    """One vote for each person; voting again changes it. Raises NotFound `review.not_found`, Forbidden `review.own`."""

    review_id: str
    voter: Identity
    language: Language
    helpful: bool


# ---------------------------------------------------------------- asked by moderators and sellers


@message("review.list_by_status")
class ListReviewsByStatus(Query[ReviewPage], frozen=True, kw_only=True):
    """For moderators: those who have waited longest first; without a viewer as the shop itself has them."""

    viewer: Identity | None = None
    language: Language
    status: Status = "pending"
    cursor: str = ""
    limit: Limit = 24


@message("review.moderate")
class ModerateReview(Command[ReviewView], frozen=True, kw_only=True):
    """Lets a review through, or not; a rejection needs a reason. The same decision again changes nothing, the opposite one takes the place of
    the first, and the rating follows; about one's own others decide. Raises NotFound `review.not_found`, Forbidden `review.own`, Invalid for a missing
    reason."""

    RULES = REASON

    review_id: str
    moderator: Identity | None = None
    language: Language
    decision: Decision
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


@message("review.reply")
class ReplyToReview(Command[ReviewView], frozen=True, kw_only=True):
    """The seller's answer below a published review; a new one takes the place of the one before. Raises NotFound `review.not_found`."""

    RULES = WRITTEN

    review_id: str
    language: Language
    text: ReviewText


# ---------------------------------------------------------------- told to everyone


@message("review.written")
class ReviewWritten(Event, frozen=True, kw_only=True):
    """Somebody wrote a review, which a moderator has yet to see. What it says stays out of the log, so that it can be forgotten."""

    review_id: str
    product_id: str
    user_id: str
    rating: int


@message("review.published")
class ReviewPublished(Event, frozen=True, kw_only=True):
    """A moderator has let it through: everybody can read it."""

    review_id: str
    product_id: str
    user_id: str
    rating: int


@message("review.rejected")
class ReviewRejected(Event, frozen=True, kw_only=True):
    """A moderator did not let it through, or took it back. `reason` is a sentence for its author."""

    review_id: str
    product_id: str
    user_id: str
    reason: str


@message("review.replied")
class ReviewReplied(Event, frozen=True, kw_only=True):
    """The seller has answered."""

    review_id: str
    product_id: str
    user_id: str


@message("review.rating_changed")
class RatingChanged(Event, frozen=True, kw_only=True):
    """A product's rating over all published reviews, as of now: the average in hundredths (450 is 4.5), and how many there are."""

    product_id: str
    average_hundredths: int
    count: int
