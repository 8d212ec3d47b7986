"""The staff's pages, by their addresses: who may see which, and what answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torg.contexts.admin.contracts import GetCountryRule, GetDeadLetter, GetNetworkRule
from torg.contexts.admin.ports import PageDeps
from torg.contexts.admin.routes.pages import (
    charges,
    deliveries,
    networks,
    operations,
    orders,
    overview,
    people,
    programs,
    promo_codes,
    purchases,
    reports,
    reviews,
    rights,
    statics,
    stock,
)
from torg.contexts.admin.routes.pages.visit import DESK, Show, visits
from torg.contexts.cart.contracts import GetPromoCode
from torg.contexts.inventory.contracts import GetPurchaseOrder, GetStock
from torg.contexts.order.contracts import FindSaga, GetOrder
from torg.contexts.payment.contracts import GetCharge
from torg.contexts.review.contracts import GetReview
from torg.contexts.shipping.contracts import GetDelivery
from torg.contexts.user.contracts import GetApiKey, GetClient, GetUser, ListSessionsOf
from torg.kit.access import PUBLIC
from torg.kit.http import Route, Urgency, page
from torg.kit.messages import Query

SHOWN: dict[str, tuple[str, Show]] = {
    "/admin": (DESK, overview.home),
    "/admin/overview": ("all-orders:read", overview.overview),
    "/admin/orders": ("all-orders:read", orders.listed),
    "/admin/orders/{order_id}": ("all-orders:read", orders.one),
    "/admin/charges/{charge_id}": ("charges:read", charges.one),
    "/admin/deliveries": ("deliveries:read", deliveries.listed),
    "/admin/reviews": ("moderation:read", reviews.queue),
    "/admin/stock": ("stock:read", stock.found),
    "/admin/stock/{product_id}": ("stock:read", stock.one),
    "/admin/purchases": ("purchases:read", purchases.listed),
    "/admin/purchases/{purchase_order_id}": ("purchases:read", purchases.one),
    "/admin/users": ("users:read", people.listed),
    "/admin/users/{user_id}/sessions": ("user-sessions:read", people.sessions),
    "/admin/promo-codes": ("promo-codes:read", promo_codes.listed),
    "/admin/clients": ("clients:read", programs.clients),
    "/admin/api-keys": ("api-keys:read", programs.api_keys),
    "/admin/networks": ("networks:read", networks.listed),
    "/admin/sagas": ("sagas:read", operations.sagas),
    "/admin/dead-letters": ("operations:read", operations.dead_letters),
    "/admin/consumers": ("operations:read", operations.consumers),
    "/admin/events": ("operations:read", operations.events),
    "/admin/audit": ("audit:read", operations.audit),
    "/admin/rights": ("audit:read", rights.rights),
    "/admin/invariants": ("operations:read", operations.invariants),
    "/admin/reports": ("reports:read", reports.reports),
}
SENT: dict[str, tuple[str, Show]] = {
    "/admin/orders/{order_id}/cancel": ("orders:write", orders.cancel),
    "/admin/charges/{charge_id}/refund": ("charges:write", charges.refund),
    "/admin/deliveries/{delivery_id}/status": ("deliveries:write", deliveries.move),
    "/admin/reviews/{review_id}/moderation": ("moderation:write", reviews.moderate),
    "/admin/stock/{product_id}/alert": ("stock:write", stock.alert),
    "/admin/purchases/{purchase_order_id}/order": ("purchases:write", purchases.place),
    "/admin/purchases/{purchase_order_id}/cancel": ("purchases:write", purchases.cancel),
    "/admin/users/{user_id}/roles": ("users:write", people.grant),
    "/admin/users/{user_id}/sessions/end": ("user-sessions:write", people.end_sessions),
    "/admin/users/{user_id}/sessions/{session_id}/end": ("user-sessions:write", people.end_session),
    "/admin/promo-codes/{code}/disable": ("promo-codes:write", promo_codes.disable),
    "/admin/clients": ("clients:write", programs.add),
    "/admin/clients/{client_id}/secret": ("clients:write", programs.renew_secret),
    "/admin/clients/{client_id}/disable": ("clients:write", programs.disable),
    "/admin/api-keys/{key_id}/tier": ("api-keys:write", programs.set_tier),
    "/admin/api-keys/{key_id}/withdraw": ("api-keys:write", programs.withdraw),
    "/admin/networks/{rule_id}/remove": ("networks:write", networks.remove),
    "/admin/countries/{rule_id}/remove": ("networks:write", networks.remove_country),
    "/admin/sagas/{saga_id}/retry": ("sagas:write", operations.retry),
    "/admin/sagas/{saga_id}/compensate": ("sagas:write", operations.compensate),
    "/admin/dead-letters/redrive": ("operations:write", operations.redrive_all),
    "/admin/dead-letters/{dead_letter_id}/redrive": ("operations:write", operations.redrive),
}
SENT_ONCE: dict[str, tuple[str, Show]] = {
    "/admin/stock/{product_id}/movements": ("stock:write", stock.move),
    "/admin/purchases": ("purchases:write", purchases.draft),
    "/admin/purchases/{purchase_order_id}/receipts": ("purchases:write", purchases.receive),
    "/admin/suppliers": ("purchases:write", purchases.add_supplier),
    "/admin/promo-codes": ("promo-codes:write", promo_codes.create),
    "/admin/networks": ("networks:write", networks.add),
    "/admin/countries": ("networks:write", networks.add_country),
}
"""Forms that carry a key: a second click, or the page sent again, changes nothing more."""
ABOUT: dict[str, type[Query[Any]]] = {
    "/admin/orders/{order_id}/cancel": GetOrder,
    "/admin/charges/{charge_id}/refund": GetCharge,
    "/admin/deliveries/{delivery_id}/status": GetDelivery,
    "/admin/reviews/{review_id}/moderation": GetReview,
    "/admin/stock/{product_id}/alert": GetStock,
    "/admin/stock/{product_id}/movements": GetStock,
    "/admin/purchases/{purchase_order_id}/order": GetPurchaseOrder,
    "/admin/purchases/{purchase_order_id}/cancel": GetPurchaseOrder,
    "/admin/purchases/{purchase_order_id}/receipts": GetPurchaseOrder,
    "/admin/users/{user_id}/roles": GetUser,
    "/admin/users/{user_id}/sessions/end": ListSessionsOf,
    "/admin/users/{user_id}/sessions/{session_id}/end": ListSessionsOf,
    "/admin/promo-codes/{code}/disable": GetPromoCode,
    "/admin/clients/{client_id}/disable": GetClient,
    "/admin/api-keys/{key_id}/tier": GetApiKey,
    "/admin/api-keys/{key_id}/withdraw": GetApiKey,
    "/admin/networks/{rule_id}/remove": GetNetworkRule,
    "/admin/countries/{rule_id}/remove": GetCountryRule,
    "/admin/sagas/{saga_id}/retry": FindSaga,
    "/admin/sagas/{saga_id}/compensate": FindSaga,
    "/admin/dead-letters/{dead_letter_id}/redrive": GetDeadLetter,
}
"""What the audit trail has before and after a form."""
UNFILED: Mapping[str, tuple[str, ...]] = dict.fromkeys(("/admin/clients", "/admin/clients/{client_id}/secret"), ("client_secret",))
"""What it has not of what a form was answered: secrets that are shown once."""


def pages(deps: PageDeps) -> Sequence[Route]:
    visited = visits(deps)

    def shown(path: str, right: str, show: Show, **more: Any) -> Route:
        return page(path, visited(show, right), right=right, asks=True, about=ABOUT.get(path), unfiled=UNFILED.get(path, ()), urgency=Urgency.ALWAYS, **more)

    return (
        *(shown(path, *entry) for path, entry in SHOWN.items()),
        *(shown(path, *entry, method="POST") for path, entry in SENT.items()),
        *(shown(path, *entry, method="POST", idempotency_field="key") for path, entry in SENT_ONCE.items()),
        page("/admin/static/{name}", statics.file(deps), right=PUBLIC, urgency=Urgency.ALWAYS),
    )
