"""What reviews do. The table at the bottom is the index."""

from __future__ import annotations

import time
from functools import partial

from torg.contexts.order.contracts import OrderDelivered
from torg.contexts.review import contracts as c
from torg.contexts.review import model
from torg.contexts.review.model import Review
from torg.contexts.review.ports import ReviewDeps
from torg.contexts.user.contracts import UserChanged, UserErased, UserRegistered
from torg.kit.auth import Identity
from torg.kit.calls import Handlers
from torg.kit.errors import DomainError, Forbidden, NotFound
from torg.kit.store import Transaction
from torg.kit.values import Language

RECOUNTED = 200  # products in a transaction

# ---------------------------------------------------------------- readers and buyers ask


async def list_reviews(query: c.ListReviews, deps: ReviewDeps) -> c.ProductReviews:
    stars = await deps.reviews.stars(query.product_id)
    items, cursor = await deps.reviews.published(query.product_id, query.sort, query.cursor, query.limit)
    own = await deps.reviews.find_own(query.product_id, query.viewer.user_id) if query.viewer else None
    return c.ProductReviews(
        items=tuple(_shown(review, query.viewer, query.language, deps) for review in items), next_cursor=cursor, total=model.total(stars),
        distribution=stars, own=own.view(query.language) if own else None,
    )  # fmt: skip


async def list_my_reviews(query: c.ListMyReviews, deps: ReviewDeps) -> c.ReviewPage:
    items, cursor = await deps.reviews.written_by(query.author.user_id, query.cursor, query.limit)
    return c.ReviewPage(tuple(review.view(query.language) for review in items), cursor)


async def get_review(query: c.GetReview, deps: ReviewDeps) -> c.ReviewView:
    review = _there(query.review_id, await deps.reviews.find(query.review_id))
    if review.status != "published" and not _may_see_all(review, query.viewer, deps):
        raise _not_found(query.review_id)
    return _shown(review, query.viewer, query.language, deps)


async def write_review(cmd: c.WriteReview, deps: ReviewDeps) -> c.ReviewView:
    user_id = cmd.author.user_id
    if not await deps.reviews.received(user_id, cmd.product_id):
        raise Forbidden("review.not_purchased", "only who has received the product may review it: wait until your order is delivered")
    review = Review(deps.new_id(), cmd.product_id, user_id, cmd.rating, cmd.title.strip(), cmd.text.strip(), deps.clock())
    async with deps.transaction() as tx:
        if not await deps.reviews.add(tx, review):
            raise DomainError("review.already_written", "you have reviewed this product already")
        await tx.append(review.id, [c.ReviewWritten(review_id=review.id, product_id=review.product_id, user_id=user_id, rating=review.rating)])
        return await tx.answer(_there(review.id, await deps.reviews.find(review.id, tx)).view(cmd.language))


async def vote(cmd: c.Vote, deps: ReviewDeps) -> c.ReviewView:
    async with deps.transaction() as tx:
        review = await _published(tx, cmd.review_id, deps)
        if review.user_id == cmd.voter.user_id:
            raise Forbidden("review.own", "others say whether your review is helpful")
        await deps.reviews.vote(tx, review.id, cmd.voter.user_id, cmd.helpful)
        return await tx.answer(_shown(_there(review.id, await deps.reviews.find(review.id, tx)), cmd.voter, cmd.language, deps))


# ---------------------------------------------------------------- moderators and sellers ask


async def list_reviews_by_status(query: c.ListReviewsByStatus, deps: ReviewDeps) -> c.ReviewPage:
    items, cursor = await deps.reviews.with_status(query.status, query.cursor, query.limit)
    viewer = query.viewer
    return c.ReviewPage(tuple(_shown(review, viewer, query.language, deps) if viewer else review.view(query.language) for review in items), cursor)


async def moderate_review(cmd: c.ModerateReview, deps: ReviewDeps) -> c.ReviewView:
    async with deps.transaction() as tx:
        before = _there(cmd.review_id, await deps.reviews.find(cmd.review_id, tx))
        if cmd.moderator and cmd.moderator.user_id == before.user_id:
            raise Forbidden("review.own", "others decide about your review")
        review = model.decide(before, cmd.decision, cmd.reason.strip())
        if review is not before:
            stars = await deps.reviews.settle(tx, review, before.status)
            await tx.append(review.id, [model.decided(review)])
            if stars is not None:
                await tx.append(f"rating/{review.product_id}", [_rating(review.product_id, stars)])
        return await tx.answer(_shown(review, cmd.moderator, cmd.language, deps) if cmd.moderator else review.view(cmd.language))


async def reply_to_review(cmd: c.ReplyToReview, deps: ReviewDeps) -> c.ReviewView:
    async with deps.transaction() as tx:
        review = await _published(tx, cmd.review_id, deps)
        await deps.reviews.reply(tx, review.id, c.Reply(cmd.text.strip(), deps.clock()))
        await tx.append(review.id, [c.ReviewReplied(review_id=review.id, product_id=review.product_id, user_id=review.user_id)])
        return await tx.answer(_shown(_there(review.id, await deps.reviews.find(review.id, tx)), None, cmd.language, deps))


# ---------------------------------------------------------------- operators ask


async def rebuild_ratings(_: c.RebuildRatings, deps: ReviewDeps) -> c.RatingsRebuilt:
    """Some products in a transaction: each is right from then on, and whoever writes meanwhile waits for these only."""
    began, looked, mended, last = time.perf_counter(), 0, 0, ""
    while products := await deps.reviews.rated(last, RECOUNTED):
        mended += await deps.store.undisturbed(partial(_recount, last, products[-1], deps), "review.ratings")
        looked, last = looked + len(products), products[-1]
    return c.RatingsRebuilt(looked, mended, round(time.perf_counter() - began, 3))


async def _recount(after: str, last: str, deps: ReviewDeps) -> int:
    async with deps.transaction() as tx:
        wrong = await deps.reviews.recount(tx, after, last)
        for product_id, stars in wrong.items():
            await tx.append(f"rating/{product_id}", [_rating(product_id, stars)])
        return len(wrong)


# ---------------------------------------------------------------- others tell


async def on_order_delivered(event: OrderDelivered, deps: ReviewDeps) -> None:
    async with deps.transaction() as tx:
        await deps.reviews.note_delivery(tx, event.user_id, event.product_ids, deps.clock())


async def on_user_named(event: UserRegistered | UserChanged, deps: ReviewDeps) -> None:
    async with deps.transaction() as tx:
        await deps.reviews.name_author(tx, event.user_id, model.shown_name(event.full_name))


async def on_user_erased(event: UserErased, deps: ReviewDeps) -> None:
    async with deps.transaction() as tx:
        await deps.reviews.forget_person(tx, event.user_id)


# ---------------------------------------------------------------- small print


async def _published(tx: Transaction, review_id: str, deps: ReviewDeps) -> Review:
    review = _there(review_id, await deps.reviews.find(review_id, tx))
    if review.status != "published":
        raise _not_found(review_id)
    return review


def _may_see_all(review: Review, viewer: Identity | None, deps: ReviewDeps) -> bool:
    return viewer is not None and (viewer.user_id == review.user_id or deps.access.allows(viewer, "moderation:read"))


def _shown(review: Review, viewer: Identity | None, language: Language, deps: ReviewDeps) -> c.ReviewView:
    return deps.access.seen(viewer, "review", review.view(language), owner=review.user_id)


def _there(review_id: str, review: Review | None) -> Review:
    if review is None:
        raise _not_found(review_id)
    return review


def _not_found(review_id: str) -> NotFound:
    return NotFound("review.not_found", f"there is no review {review_id}")


def _rating(product_id: str, stars: c.Distribution) -> c.RatingChanged:
    return c.RatingChanged(product_id=product_id, average_hundredths=model.average_hundredths(stars), count=model.total(stars))


HANDLERS: Handlers = {
    c.ListReviews: list_reviews,
    c.ListMyReviews: list_my_reviews,
    c.GetReview: get_review,
    c.WriteReview: write_review,
    c.Vote: vote,
    c.ListReviewsByStatus: list_reviews_by_status,
    c.ModerateReview: moderate_review,
    c.ReplyToReview: reply_to_review,
    c.RebuildRatings: rebuild_ratings,
}

REACTIONS: Handlers = {
    OrderDelivered: on_order_delivered,
    UserRegistered: on_user_named,
    UserChanged: on_user_named,
    UserErased: on_user_erased,
}
