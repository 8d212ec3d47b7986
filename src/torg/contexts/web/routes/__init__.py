"""The shop's pages, by their addresses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from torg.contexts.web.ports import WebDeps
from torg.contexts.web.routes import account, cart, checkout, documents, notifications, orders, product, profile, shelves
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import Endpoint, Show, Visit, bare_frame, visits
from torg.kit.errors import Problem
from torg.kit.http import Request, Response, Route, Urgency, page

KEPT = 10.0  # seconds that the edge keeps a page for guests who carry no cookie yet

SHOWN: dict[str, Show] = {
    "/catalog": shelves.departments,
    "/search": shelves.search,
    "/cart": cart.cart,
    "/sign-in": account.show_sign_in,
    "/register": account.show_register,
    "/checkout": checkout.show_checkout,
    "/orders": orders.orders,
    "/orders/{order_id}": orders.order,
    "/orders/{order_id}/pay": checkout.pay,
    "/profile": profile.profile,
    "/profile/export": profile.export,
    "/wallet": profile.wallet,
    "/notifications": notifications.notifications,
    "/docs": documents.api,
    "/docs/events": documents.events,
}
SENT: dict[str, Show] = {
    "/products/{product_id}/reviews": product.write_review,
    "/products/{product_id}/reviews/{review_id}/votes": product.vote,
    "/cart/items": cart.add,
    "/cart/items/{product_id}": cart.change,
    "/cart/clear": cart.clear,
    "/cart/promo-code": cart.use_promo_code,
    "/cart/promo-code/remove": cart.drop_promo_code,
    "/sign-in": account.sign_in,
    "/register": account.register,
    "/sign-out": account.sign_out,
    "/sign-out/everywhere": account.sign_out_everywhere,
    "/renew": account.renew,
    "/language": account.choose_language,
    "/checkout": checkout.check_out,
    "/orders/{order_id}/cancel": orders.cancel,
    "/orders/{order_id}/returns": orders.send_back,
    "/profile": profile.change,
    "/profile/password": profile.change_password,
    "/profile/addresses": profile.add_address,
    "/profile/addresses/{address_id}/default": profile.prefer_address,
    "/profile/addresses/{address_id}/remove": profile.remove_address,
    "/notifications/preferences": notifications.change_preferences,
    "/notifications/read-all": notifications.read_all,
    "/notifications/{notification_id}/read": notifications.read,
    "/profile/erase": profile.erase,
}
UNREMARKABLE = frozenset({"/renew", "/language"})
"""What the audit trail leaves out."""
URGENT: Mapping[str, Urgency] = {"checkout": Urgency.CHECKOUT, "orders": Urgency.CHECKOUT, "cart": Urgency.CART, "sign-in": Urgency.SIGN_IN}
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
    visited = visits(deps)
    return (
        page("/", visited(shelves.home), cached=KEPT, tags=lambda _: ("products", "catalog")),
        page("/catalog/{category_id}", visited(shelves.category), cached=KEPT, tags=lambda _: ("products", "catalog")),
        page("/products/{product_id}", visited(product.product), cached=KEPT, tags=lambda path: (f"product:{path['product_id']}", "catalog")),
        *(page(path, visited(show), urgency=_urgency(path)) for path, show in SHOWN.items()),
        *(page(path, visited(show), method="POST", audited=path not in UNREMARKABLE, urgency=_urgency(path)) for path, show in SENT.items()),
        page("/wallet/top-ups", visited(profile.top_up), method="POST"),
        *(page(path, _file(file, deps)) for path, file in FILES.items()),
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
