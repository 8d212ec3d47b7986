"""The staff's pages, by their addresses: who may see which, and what answers them."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.admin.ports import PageDeps
from torg.contexts.admin.routes.pages import deliveries, operations, orders, overview, people, promo_codes, purchases, reports, reviews, statics, stock
from torg.contexts.admin.routes.pages.visit import ADMINS, ANALYSTS, COURIERS, KEEPERS, MODERATORS, OPERATORS, PARCELS, STAFF, Show, visits
from torg.kit.auth import Role
from torg.kit.http import Route, Urgency, page

Who = frozenset[Role]

SHOWN: dict[str, tuple[Who, Show]] = {
    "/admin": (STAFF, overview.home),
    "/admin/overview": (OPERATORS, overview.overview),
    "/admin/orders": (OPERATORS, orders.listed),
    "/admin/orders/{order_id}": (OPERATORS, orders.one),
    "/admin/deliveries": (PARCELS, deliveries.listed),
    "/admin/reviews": (MODERATORS, reviews.queue),
    "/admin/stock": (KEEPERS, stock.found),
    "/admin/stock/{product_id}": (KEEPERS, stock.one),
    "/admin/purchases": (KEEPERS, purchases.listed),
    "/admin/purchases/{purchase_order_id}": (KEEPERS, purchases.one),
    "/admin/users": (OPERATORS, people.listed),
    "/admin/promo-codes": (ADMINS, promo_codes.listed),
    "/admin/sagas": (OPERATORS, operations.sagas),
    "/admin/dead-letters": (OPERATORS, operations.dead_letters),
    "/admin/consumers": (OPERATORS, operations.consumers),
    "/admin/events": (OPERATORS, operations.events),
    "/admin/audit": (OPERATORS, operations.audit),
    "/admin/invariants": (OPERATORS, operations.invariants),
    "/admin/reports": (ANALYSTS, reports.reports),
}
SENT: dict[str, tuple[Who, Show]] = {
    "/admin/orders/{order_id}/cancel": (OPERATORS, orders.cancel),
    "/admin/deliveries/{delivery_id}/status": (COURIERS, deliveries.move),
    "/admin/reviews/{review_id}/moderation": (MODERATORS, reviews.moderate),
    "/admin/stock/{product_id}/alert": (KEEPERS, stock.alert),
    "/admin/purchases/{purchase_order_id}/order": (KEEPERS, purchases.place),
    "/admin/purchases/{purchase_order_id}/cancel": (KEEPERS, purchases.cancel),
    "/admin/users/{user_id}/roles": (ADMINS, people.grant),
    "/admin/promo-codes/{code}/disable": (ADMINS, promo_codes.disable),
    "/admin/sagas/{saga_id}/retry": (OPERATORS, operations.retry),
    "/admin/sagas/{saga_id}/compensate": (OPERATORS, operations.compensate),
    "/admin/dead-letters/redrive": (OPERATORS, operations.redrive_all),
    "/admin/dead-letters/{dead_letter_id}/redrive": (OPERATORS, operations.redrive),
}
SENT_ONCE: dict[str, tuple[Who, Show]] = {
    "/admin/stock/{product_id}/movements": (KEEPERS, stock.move),
    "/admin/purchases": (KEEPERS, purchases.draft),
    "/admin/purchases/{purchase_order_id}/receipts": (KEEPERS, purchases.receive),
    "/admin/suppliers": (KEEPERS, purchases.add_supplier),
    "/admin/promo-codes": (ADMINS, promo_codes.create),
}
"""Forms that carry a key: a second click, or the page sent again, changes nothing more."""


def pages(deps: PageDeps) -> Sequence[Route]:
    visited = visits(deps)
    return (
        *(page(path, visited(show, who), urgency=Urgency.ALWAYS) for path, (who, show) in SHOWN.items()),
        *(page(path, visited(show, who), method="POST", urgency=Urgency.ALWAYS) for path, (who, show) in SENT.items()),
        *(page(path, visited(show, who), method="POST", idempotency_field="key", urgency=Urgency.ALWAYS) for path, (who, show) in SENT_ONCE.items()),
        page("/admin/static/{name}", statics.file(deps), urgency=Urgency.ALWAYS),
    )
