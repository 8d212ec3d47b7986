"""The shop's pages, by their addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from torg.contexts.web.ports import WebDeps
from torg.contexts.web.routes import (
    account,
    cart,
    checkout,
    documents,
    factors,
    notifications,
    orders,
    outside,
    product,
    profile,
    programs,
    proofs,
    recovery,
    shelves,
)
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import Endpoint, Proofs, Show, Visit, bare_frame, visits
from torg.kit.access import PUBLIC
from torg.kit.errors import Problem
from torg.kit.http import Request, Response, Route, Urgency, page

KEPT = 10.0  # seconds that the edge keeps a page for guests who carry no cookie yet

Tags = Callable[[Mapping[str, str]], tuple[str, ...]]
KEPT_FOR_GUESTS: dict[str, tuple[Tags, Show]] = {
    "/": (lambda _: ("products", "catalog"), shelves.home),
    "/catalog/{category_id}": (lambda _: ("products", "catalog"), shelves.category),
    "/products/{product_id}": (lambda path: (f"product:{path['product_id']}", "catalog"), product.product),
}
SHOWN: dict[str, tuple[str, Show]] = {
    "/catalog": ("catalog:read", shelves.departments),
    "/search": ("catalog:read", shelves.search),
    "/cart": ("cart:read", cart.cart),
    "/sign-in": ("shop:read", account.show_sign_in),
    "/sign-in/outside": ("shop:read", outside.leave),
    "/sign-in/outside/back": ("shop:read", outside.arrive),
    "/register": ("shop:read", account.show_register),
    "/forgot-password": ("shop:read", recovery.show_forgotten),
    "/reset-password": ("shop:read", recovery.show_reset),
    "/confirm-email": ("shop:read", recovery.show_confirmation),
    "/checkout": ("orders:read", checkout.show_checkout),
    "/orders": ("orders:read", orders.orders),
    "/orders/{order_id}": ("orders:read", orders.order),
    "/orders/{order_id}/pay": ("payments:read", checkout.pay),
    "/profile": ("account:read", profile.profile),
    "/profile/second-factor": ("self:read", factors.show),
    "/profile/export": ("self:read", profile.export),
    "/profile/programs": ("self:read", programs.programs),
    "/oauth/authorize": ("shop:read", programs.authorize),
    "/oauth/logout": ("shop:read", programs.leave),
    "/wallet": ("wallet:read", profile.wallet),
    "/notifications": ("notifications:read", notifications.notifications),
    "/docs": ("shop:read", documents.api),
    "/docs/events": ("shop:read", documents.events),
}
SENT: dict[str, tuple[str, Show]] = {
    "/products/{product_id}/reviews": ("reviews:write", product.write_review),
    "/products/{product_id}/reviews/{review_id}/votes": ("reviews:write", product.vote),
    "/cart/items": ("cart:write", cart.add),
    "/cart/items/{product_id}": ("cart:write", cart.change),
    "/cart/clear": ("cart:write", cart.clear),
    "/cart/promo-code": ("cart:write", cart.use_promo_code),
    "/cart/promo-code/remove": ("cart:write", cart.drop_promo_code),
    "/sign-in": ("registration:write", account.sign_in),
    "/sign-in/outside/link": ("registration:write", outside.link),
    "/sign-in/passkey": ("registration:write", factors.sign_in_with_passkey),
    "/profile/passkeys/{passkey_id}/remove": ("self:write", factors.remove_passkey),
    "/sign-in/code": ("registration:write", factors.sign_in_with_code),
    "/sign-in/second/passkey": ("registration:write", factors.give_passkey),
    "/register": ("registration:write", account.register),
    "/forgot-password": ("registration:write", recovery.ask_for_reset),
    "/reset-password": ("registration:write", recovery.reset),
    "/confirm-email": ("registration:write", recovery.confirm),
    "/profile/second-factor": ("self:write", factors.begin),
    "/profile/second-factor/confirm": ("self:write", factors.confirm),
    "/profile/second-factor/codes": ("self:write", factors.renew_codes),
    "/profile/second-factor/remove": ("self:write", factors.remove),
    "/profile/second-factor/passkey": ("self:write", factors.add_passkey_step),
    "/profile/second-factor/passkey/remove": ("self:write", factors.remove_passkey_step),
    "/profile/proof": ("self:write", proofs.go_on),
    "/profile/confirmation": ("self:write", recovery.send_again),
    "/sign-out": ("self:write", account.sign_out),
    "/sign-out/everywhere": ("self:write", account.sign_out_everywhere),
    "/renew": ("registration:write", account.renew),
    "/language": ("shop:read", account.choose_language),
    "/checkout": ("orders:write", checkout.check_out),
    "/orders/{order_id}/cancel": ("orders:write", orders.cancel),
    "/orders/{order_id}/returns": ("orders:write", orders.send_back),
    "/profile": ("account:write", profile.change),
    "/profile/password": ("self:write", profile.change_password),
    "/profile/addresses": ("account:write", profile.add_address),
    "/profile/addresses/{address_id}/default": ("account:write", profile.prefer_address),
    "/profile/addresses/{address_id}/remove": ("account:write", profile.remove_address),
    "/profile/sessions/{session_id}/end": ("self:write", profile.end_session),
    "/notifications/preferences": ("notifications:write", notifications.change_preferences),
    "/notifications/read-all": ("notifications:write", notifications.read_all),
    "/notifications/{notification_id}/read": ("notifications:write", notifications.read),
    "/wallet/top-ups": ("wallet:write", profile.top_up),
    "/profile/erase": ("self:write", profile.erase),
    "/profile/programs/{client_id}/out": ("self:write", programs.shut_out),
    "/profile/keys": ("self:write", programs.make_key),
    "/profile/keys/{key_id}/rotate": ("self:write", programs.rotate_key),
    "/profile/keys/{key_id}/end": ("self:write", programs.end_key),
    "/oauth/authorize": ("self:write", programs.answer),
    "/oauth/logout": ("registration:write", programs.left),
}
LEADING_IN = frozenset(
    {"/sign-in", "/sign-in/code", "/sign-in/passkey", "/sign-in/second/passkey", "/sign-in/outside/link", "/register", "/forgot-password", "/reset-password"}
)
"""Forms that open a session: a guest's must be of a page that was made for their browser."""
UNREMARKABLE = frozenset({"/renew", "/language"})
"""What the audit trail leaves out."""
URGENT: Mapping[str, Urgency] = {
    "checkout": Urgency.CHECKOUT, "orders": Urgency.CHECKOUT, "cart": Urgency.CART, "sign-in": Urgency.SIGN_IN, "oauth": Urgency.SIGN_IN,
}  # fmt: skip
"""By a path's first word."""
File = Callable[[Request, WebDeps], Awaitable[Response]]
FILES: dict[str, File] = {
    "/static/{name}": documents.static,
    "/favicon.ico": documents.favicon,
    "/robots.txt": documents.robots,
    "/.well-known/security.txt": documents.security,
}

FUNCTIONS: Mapping[str, Callable[..., object]] = {"link": link, "shape": documents.shape, "bounds": documents.bounds, "named": documents.named}
"""What templates may call."""


def routes(deps: WebDeps) -> Sequence[Route]:
    visited = visits(deps, Proofs(proofs.shown, proofs.ask))

    def shown(path: str, right: str, show: Show, **more: Any) -> Route:
        return page(path, visited(show, right, path in LEADING_IN), right=right, asks=True, urgency=_urgency(path), **more)

    return (
        *(shown(path, "catalog:read", show, cached=KEPT, tags=tags) for path, (tags, show) in KEPT_FOR_GUESTS.items()),
        *(shown(path, *entry) for path, entry in SHOWN.items()),
        *(shown(path, *entry, method="POST", audited=path not in UNREMARKABLE) for path, entry in SENT.items()),
        *(page(path, _file(file, deps), right=PUBLIC) for path, file in FILES.items()),
    )


def _urgency(path: str) -> Urgency:
    return URGENT.get(path.split("/")[1], Urgency.BROWSING)


def _file(file: File, deps: WebDeps) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await file(request, deps)

    return endpoint


def problem_page(deps: WebDeps) -> Callable[[Request, Problem], Response]:
    """What people see of a refusal that no page has caught, such as an address that nothing answers."""

    def show(request: Request, problem: Problem) -> Response:
        visit = Visit(request, deps)
        sentence = visit.text(f"errors.{problem.code}") or visit.text(f"problem.{problem.status}")
        values = {**bare_frame(deps, visit), "status": problem.status, "sentence": sentence, "request_id": request.id}
        return visit.html(deps.pages.render("problem.html", visit.language, values), problem.status)

    return show
