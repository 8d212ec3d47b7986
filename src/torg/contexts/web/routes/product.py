"""A product's page, and what buyers write about it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

from torg.contexts.catalog.contracts import GetProduct, Recommend
from torg.contexts.review.contracts import ListReviews, ProductReviews, Vote, WriteReview
from torg.contexts.web.model import read_form
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response

ReviewSort = Literal["newest", "helpful"]
REVIEWS = 10
ALSO = 6


async def product(visit: Visit) -> Response:
    return await _page(visit)


async def write_review(visit: Visit) -> Response:
    form, product_id = await visit.form(), visit.request.path_values["product_id"]
    author = visit.member
    try:
        await visit.ask(read_form(WriteReview, form, visit.deps.clock(), product_id=product_id, author=author, language=visit.language))
    except DomainError as refusal:
        return await _page(visit, refusal.status, form, visit.faults(refusal))
    return visit.go(f"/products/{product_id}#reviews", "review_written")


async def vote(visit: Visit) -> Response:
    form, path = await visit.form(), visit.request.path_values
    helpful = form.get("helpful") == "yes"
    await visit.ask(Vote(review_id=path["review_id"], voter=visit.member, language=visit.language, helpful=helpful))
    return visit.go(f"/products/{path['product_id']}#reviews", "voted")


async def _page(visit: Visit, status: int = 200, form: Mapping[str, str] | None = None, faults: Mapping[str, str] | None = None) -> Response:
    product_id, language = visit.request.path_values["product_id"], visit.language
    item = await visit.ask(GetProduct(product_id=product_id, language=language))
    sort: ReviewSort = "helpful" if visit.request.query().get("reviews") == "helpful" else "newest"
    written = visit.ask_for_extra(ListReviews(product_id=product_id, viewer=visit.identity, language=language, sort=sort, limit=REVIEWS))
    recommended = visit.ask_for_extra(Recommend(product_id=product_id, limit=ALSO, language=language))
    reviews, also = await asyncio.gather(written, recommended)
    return await visit.page(
        "product.html", status, item=item, reviews=reviews, spread=_spread(reviews), also=also, form=form or {}, faults=faults or {}, sort=sort
    )


def _spread(reviews: ProductReviews | None) -> list[tuple[int, int]]:
    """How many reviews gave so many stars, five first."""
    if reviews is None:
        return []
    counts = reviews.distribution
    return [(5, counts.five), (4, counts.four), (3, counts.three), (2, counts.two), (1, counts.one)]
