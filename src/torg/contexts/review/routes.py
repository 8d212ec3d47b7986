"""Reviews over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.review import contracts as c
from torg.kit.http import Route, get, post


def routes() -> Sequence[Route]:
    return (
        get("/products/{product_id}/reviews", c.ListReviews, right="reviews:read", summary="A product's reviews"),
        post(
            "/products/{product_id}/reviews", c.WriteReview, right="reviews:write", status=201, idempotency="accepted",
            location=lambda review: f"/api/v1/reviews/{review.id}", summary="Review a product that was delivered to you",
        ),
        get("/reviews", c.ListReviewsByStatus, right="moderation:read", summary="Reviews by status, longest waiting first"),
        get("/reviews/mine", c.ListMyReviews, right="own-reviews:read", summary="Your reviews, newest first"),
        get("/reviews/{review_id}", c.GetReview, right="reviews:read", summary="One review"),
        post(
            "/reviews/{review_id}/moderation", c.ModerateReview, about=c.GetReview, right="moderation:write", idempotency="accepted",
            summary="Publish or reject a review",
        ),
        post("/reviews/{review_id}/votes", c.Vote, right="reviews:write", idempotency="accepted", summary="Say whether a review is helpful"),
        post(
            "/reviews/{review_id}/reply", c.ReplyToReview, about=c.GetReview, right="replies:write", idempotency="accepted",
            summary="Answer a review as the seller",
        ),
        post("/reviews/ratings/rebuild", c.RebuildRatings, right="catalog:write", summary="Count ratings and votes anew, while they are shown"),
    )  # fmt: skip
