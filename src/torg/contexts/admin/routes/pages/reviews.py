"""The moderators' queue."""

from __future__ import annotations

from typing import get_args

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.catalog.contracts import GetOffers
from torg.contexts.review.contracts import ListReviewsByStatus, ModerateReview, Status
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.http.forms import read_form

REASONS = ("Offends others", "Is about the delivery, not the product", "Advertises something else", "Names private persons", "Says nothing about the product")


async def queue(visit: Visit, refusal: DomainError | None = None) -> Response:
    asked = {"status": visit.query.get("status", "pending"), "cursor": visit.query.get("cursor", "")}
    page = await visit.ask(read_form(ListReviewsByStatus, asked, visit.deps.clock(), viewer=visit.identity, language=visit.language))
    offers = await visit.ask_for_extra(GetOffers(tuple({review.product_id for review in page.items})))
    names = {offer.product_id: offer.name for offer in offers or ()}
    return visit.page(
        "reviews.html",
        refusal,
        reviews=page.items,
        more_cursor=page.next_cursor,
        names=names,
        shown_tabs=get_args(Status),
        tab=asked["status"],
        reasons=REASONS,
    )


async def moderate(visit: Visit) -> Response:
    form = await visit.form()
    visit.query = Given({"status": form.get("status", "pending")})
    try:
        given = {"review_id": visit.of_path("review_id"), "moderator": visit.identity, "language": visit.language}
        command = read_form(ModerateReview, form, visit.deps.clock(), **given)
        await visit.ask(command)
    except DomainError as refusal:
        return await queue(visit.back_at("/admin/reviews"), refusal)
    return visit.go("/admin/reviews", "approved" if command.decision == "approve" else "rejected", status=visit.query["status"])
