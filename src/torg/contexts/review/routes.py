"""Reviews over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.review import contracts as c
from torg.contexts.review.handlers import MODERATORS
from torg.kit.auth import SIGNED_IN, Role
from torg.kit.http import Route, get, post

OPERATORS = frozenset({Role.ADMIN})
SELLERS = frozenset({Role.PARTNER})


def routes() -> Sequence[Route]:
    return (
        get("/products/{product_id}/reviews", c.ListReviews, summary="A product's reviews"),
        post(
            "/products/{product_id}/reviews", c.WriteReview, who=SIGNED_IN, status=201, idempotency="accepted",
            location=lambda review: f"/api/v1/reviews/{review.id}", summary="Review a product that was delivered to you",
        ),
        get("/reviews", c.ListReviewsByStatus, who=MODERATORS, summary="Reviews by status, longest waiting first"),
        get("/reviews/mine", c.ListMyReviews, who=SIGNED_IN, summary="Your reviews, newest first"),
        get("/reviews/{review_id}", c.GetReview, summary="One review"),
        post("/reviews/{review_id}/moderation", c.ModerateReview, who=MODERATORS, idempotency="accepted", summary="Publish or reject a review"),
        post("/reviews/{review_id}/votes", c.Vote, who=SIGNED_IN, idempotency="accepted", summary="Say whether a review is helpful"),
        post("/reviews/{review_id}/reply", c.ReplyToReview, who=SELLERS, idempotency="accepted", summary="Answer a review as the seller"),
        post("/reviews/ratings/rebuild", c.RebuildRatings, who=OPERATORS, summary="Count ratings and votes anew, while they are shown"),
    )  # fmt: skip
