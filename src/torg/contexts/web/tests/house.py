"""A shop front over answered calls: every message has an answer, and a test puts its own in their place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from torg.contexts.cart import contracts as cart
from torg.contexts.catalog import contracts as catalog
from torg.contexts.notification import contracts as notification
from torg.contexts.order import contracts as order
from torg.contexts.payment import contracts as payment
from torg.contexts.review import contracts as review
from torg.contexts.shipping import contracts as shipping
from torg.contexts.user import contracts as user
from torg.contexts.web.adapters.categories_memory import MemoryCategories
from torg.contexts.web.adapters.pages_jinja import JinjaPages
from torg.contexts.web.adapters.renewals_memory import MemoryRenewals
from torg.contexts.web.adapters.statics import read_statics
from torg.contexts.web.adapters.texts import read_texts
from torg.contexts.web.ports import Static, WebDeps
from torg.contexts.web.routes import FUNCTIONS, problem_page, routes
from torg.kit.auth import Identity, Role
from torg.kit.calls import LocalCalls
from torg.kit.errors import NotFound, Unavailable
from torg.kit.http import App
from torg.kit.http.cookies import cookie_name, is_secure
from torg.kit.http.form_tokens import FIELD, FormTokens
from torg.kit.http.openapi import asyncapi, openapi
from torg.kit.http.request import Request
from torg.kit.messages import Message, Registry
from torg.kit.spared import Spared
from torg.kit.testing import START, TestClock, open_store, test_ids
from torg.kit.testing.http import Answer, ask
from torg.kit.values import Language, Money

HERE = Path(__file__).parents[1]
ANNA = Identity("anna", frozenset({Role.CUSTOMER}), "session-1")
CART_ID = "00000000-0000-7000-8000-00000000ca27"
ORDER_ID = "00000000-0000-7000-8000-0000000000aa"


def dollars(amount: int) -> Money:
    return Money(amount, "USD")


def listed(id: str = "milk", name: str = "Milk, 1 l", **more: Any) -> catalog.ListedProduct:
    facts: dict[str, Any] = {
        "id": id, "name": name, "category": "dairy", "category_path": (catalog.CategoryRef("food", "Food"), catalog.CategoryRef("dairy", "Dairy")),
        "brand": "Fjord", "price": dollars(129), "old_price": dollars(159), "quantity": 7, "in_stock": True, "rating": catalog.RatingSummary(4.5, 2),
        "pictures": (f"/pictures/{id}.svg",), "created_at": START, "updated_at": START,
    }  # fmt: skip
    return catalog.ListedProduct(**{**facts, **more})


def product(id: str = "milk", name: str = "Milk, 1 l", **more: Any) -> catalog.ProductView:
    facts = {field: getattr(listed(id, name), field) for field in catalog.ListedProduct.__struct_fields__}
    own: dict[str, Any] = {
        "description": "From cows that know their names.", "attributes": (catalog.ShownAttribute("Fat", "3.2 %"),),
        "variants": (catalog.ShownVariant("cream", "cream"),), "weight_grams": 1030, "version": 1,
    }  # fmt: skip
    return catalog.ProductView(**{**facts, **own, **more})


def found(*items: catalog.ListedProduct, **more: Any) -> catalog.ProductPage:
    facets = catalog.Facets(
        category=(catalog.FacetValue("food", "Food", 2), catalog.FacetValue("dairy", "Dairy", 2)), brand=(catalog.FacetValue("Fjord", "Fjord", 2),),
        price=(), rating=(catalog.FacetValue("4", "4", 1),),
    )  # fmt: skip
    return catalog.ProductPage(**{"items": items, "next_cursor": "next" if items else None, "total": len(items), "facets": facets, **more})


def a_cart(**more: Any) -> cart.CartView:
    item = cart.CartItem(product_id="milk", name="Milk, 1 l", quantity=2, unit_price=dollars(129), line_total=dollars(258), available=True)
    return cart.CartView(**{"id": CART_ID, "items": (item,), "subtotal": dollars(258), "discount": dollars(0), "total": dollars(258), **more})


def a_quote(**more: Any) -> cart.Quote:
    line = cart.QuoteLine(
        product_id="milk", name="Milk, 1 l", quantity=2, unit_price=dollars(129), line_total=dollars(258), category_path=("food",), weight_grams=1030,
        available=True,
    )  # fmt: skip
    return cart.Quote(**{"cart_id": CART_ID, "lines": (line,), "items_total": dollars(258), "discount": dollars(0), **more})


ADDRESS = user.Address(city="Moscow", street="Tverskaya 1", postcode="101000")
SAVED = user.AddressView(id="home", is_default=True, **msgspec.structs.asdict(ADDRESS))
PROFILE = user.Profile(
    id="anna", email="anna@example.com", full_name="Anna", city="Moscow", birth_date=None, roles=("customer",), created_at=START, balance=dollars(5000)
)
SESSION = user.SessionView(id="session-1", device="Firefox, Linux", address="10.0.0.1", created_at=START, refreshed_at=START, expires_at=START, current=True)
TOKENS = user.Tokens(access_token="anna", refresh_token="refresh-2", expires_in=900)


def an_order(**more: Any) -> order.OrderView:
    line = order.OrderLine(product_id="milk", name="Milk, 1 l", quantity=2, unit_price=dollars(129), line_total=dollars(258))
    facts: dict[str, Any] = {
        "id": ORDER_ID, "created_date": START, "status": "confirmed", "bucket_id": CART_ID, "user_id": "anna", "lines": (line,),
        "delivery": order.DeliveryPlan(method="courier", address=ADDRESS), "payment": order.PaymentState(method="balance", status="captured"),
        "items_total": dollars(258), "delivery_price": dollars(300), "discount": dollars(0), "total": dollars(558), "cancellable": True, "updated_at": START,
    }  # fmt: skip
    return order.OrderView(**{**facts, **more})


def _saga() -> order.SagaView:
    step = order.SagaStep(
        step_id="reserve", action="ReserveItems", service="inventory", compensation="ReleaseItems", status="done", attempts=1, error=None, started_at=START,
        finished_at=START,
    )  # fmt: skip
    return order.SagaView(
        saga_id="s", saga_type="checkout", order_id=ORDER_ID, status="completed", current_step="", compensation_required=False, steps=(step,),
        created_at=START, updated_at=START,
    )  # fmt: skip


def _review(**more: Any) -> review.ReviewView:
    facts: dict[str, Any] = {
        "id": "r1", "product_id": "milk", "author": "Boris", "rating": 4, "title": "Good", "text": "Good milk.", "status": "published", "created_at": START,
        "helpful": 1, "unhelpful": 0,
    }  # fmt: skip
    return review.ReviewView(**{**facts, **more})


def reviews(*items: review.ReviewView, **more: Any) -> review.ProductReviews:
    shown = items or (_review(),)
    return review.ProductReviews(items=shown, next_cursor=None, total=len(shown), distribution=review.Distribution(four=len(shown)), **more)


def _delivery() -> shipping.DeliveryView:
    return shipping.DeliveryView(
        id="d", order_id=ORDER_ID, user_id="anna", kind="delivery", return_id="", source="Moscow", destination=ADDRESS, method="courier", pickup_point_id="",
        status="shipped", shipment_date=START, delivery_date=START + timedelta(days=2), tracking_number="TG1", created_at=START, updated_at=START,
    )  # fmt: skip


def _offers() -> tuple[shipping.DeliveryQuote, ...]:
    point = shipping.PickupPoint("p1", "Corner shop", ADDRESS)
    return (
        shipping.DeliveryQuote(method="courier", price=dollars(300), days_min=1, days_max=2),
        shipping.DeliveryQuote(method="pickup", price=dollars(100), days_min=2, days_max=2, pickup_points=(point,)),
    )


def _get_product(query: catalog.GetProduct) -> catalog.ProductView:
    if query.product_id in ("milk", "cream"):
        return product(query.product_id)
    raise NotFound("product.not_found", f"there is no product {query.product_id}")


TREE = (catalog.CategoryNode("food", "Food", "food", 2, (catalog.CategoryNode("dairy", "Dairy", "dairy", 2),)),)
NOTE = notification.Notification(
    id="n1", kind="order.confirmed", title="Confirmed", text="It is.", order_id=ORDER_ID, link=f"/orders/{ORDER_ID}", read=False, created_at=START
)
WISH = notification.Preference(kind="review.replied", channel="email", enabled=True)
WALLET = payment.Wallet(
    balance=dollars(5000), currency="USD", next_cursor=None,
    entries=(payment.WalletEntry(id="e", amount=dollars(-558), kind="payment", order_id=ORDER_ID, at=START),),
)  # fmt: skip

_KEY = {
    "id": "k", "user_id": ANNA.user_id, "name": "Stock sheet", "prefix": "torg_0a1b2c3d", "scopes": ("orders:read",), "made_at": START, "ends_at": START,
    "used_at": None,
}  # fmt: skip
API_KEY = user.ApiKeyView(**_KEY, tier="free")  # type: ignore[arg-type]
NEW_KEY = user.NewApiKey(**_KEY, tier="free", key="torg_0a1b2c3d_secret")  # type: ignore[arg-type]

ANSWERS: Mapping[type[Message], Callable[[Any], Any]] = {
    user.Authenticate: lambda query: ANNA if query.token == "anna" else None,
    user.GetProfile: lambda _: PROFILE,
    user.ExportMyData: lambda _: user.PersonalData(profile=PROFILE, language=Language.EN, addresses=(), sessions=(), orders=(), missing=(), exported_at=START),
    user.ListAddresses: lambda _: user.Addresses((SAVED,)),
    user.AddAddress: lambda _: SAVED,
    user.ListConsents: lambda _: user.Consents((user.ConsentView(client_id="c", client_name="Ledger", scopes=("openid", "orders:read"), granted_at=START),)),
    user.ListApiKeys: lambda _: user.ApiKeys((API_KEY,)),
    user.MakeApiKey: lambda _: NEW_KEY,
    user.RotateApiKey: lambda _: NEW_KEY,
    user.CheckAuthorization: lambda _: user.Asked(client_name="Ledger", scopes=("openid", "orders:read"), origin="https://ledger.example"),
    user.AnswerAuthorization: lambda cmd: user.SentOn(f"https://ledger.example/back?{'code=1' if cmd.allowed else 'error=access_denied'}"),
    user.CheckLeaving: lambda query: user.Leaving(where=query.asked.post_logout_redirect_uri, client_name="Ledger"),
    user.SignIn: lambda _: TOKENS,
    user.SignOut: lambda _: None,
    user.ListSessions: lambda _: user.Sessions((SESSION,)),
    user.EndSession: lambda _: None,
    user.ListPasskeys: lambda _: user.Passkeys(()),
    user.RequestReset: lambda _: None,
    user.GetFactors: lambda _: user.Factors(totp=False, recovery_codes=0, missing=False, proven=True),
    user.BeginTotp: lambda _: user.NewTotp("SECRET", "otpauth://totp/Torg:anna?secret=SECRET"),
    user.ConfirmTotp: lambda _: user.RecoveryCodes(("aaaa-bbbb",)),
    user.RemoveTotp: lambda _: None,
    user.GiveCode: lambda _: TOKENS,
    user.ResetPassword: lambda _: None,
    user.ConfirmEmail: lambda _: None,
    user.SendConfirmation: lambda _: None,
    user.RefreshSession: lambda _: TOKENS,
    user.RegisterUser: lambda _: PROFILE,
    user.ChangeProfile: lambda _: PROFILE,
    catalog.ListCategories: lambda _: catalog.CategoryList(TREE),
    catalog.ListProducts: lambda query: found() if query.query == "nothing" else found(listed(), listed("cream", "Cream")),
    catalog.ListShelf: lambda _: (listed("butter", "Butter"),),
    catalog.ListProductsById: lambda query: tuple(listed(id) for id in query.product_ids),
    catalog.GetProduct: _get_product,
    catalog.Recommend: lambda _: catalog.RecommendedProducts((listed("cream", "Cream"),), (listed("kefir", "Kefir"),)),
    review.ListReviews: lambda _: reviews(),
    review.WriteReview: lambda _: _review(status="pending"),
    cart.GetCart: lambda query: a_cart(guest=query.visitor is None),
    cart.PutItem: lambda cmd: a_cart(guest=cmd.visitor is None),
    cart.RemoveItem: lambda cmd: a_cart(items=(), guest=cmd.visitor is None),
    cart.GetQuote: lambda _: a_quote(),
    order.PlaceOrder: lambda _: an_order(status="pending"),
    order.ListOrders: lambda _: order.OrderPage((an_order(),), None),
    order.GetOrder: lambda _: an_order(),
    order.GetHistory: lambda _: order.History((order.HistoryEntry(1, "order.placed", START, msgspec.Raw(b"{}")),)),
    order.GetSaga: lambda _: _saga(),
    shipping.ListDeliveries: lambda _: shipping.DeliveryPage((_delivery(),), None),
    shipping.GetDeliveryQuotes: lambda _: _offers(),
    payment.ListPayments: lambda _: payment.PaymentPage((), None),
    payment.GetBalance: lambda _: dollars(5000),
    payment.GetWallet: lambda _: WALLET,
    payment.TopUpWallet: lambda cmd: payment.TopUp(id="t", amount=cmd.amount, balance=dollars(5000), created_date=START),
    notification.ListNotifications: lambda _: notification.Feed((NOTE,), None, 1),
    notification.GetPreferences: lambda _: notification.Preferences((WISH,)),
    notification.MarkRead: lambda _: notification.Unread(0),
}


class Shop:
    """The pages, and what was asked behind them."""

    def __init__(self, deps: WebDeps, app: App, answers: dict[type[Message], Callable[[Any], Any]]) -> None:
        self.deps, self.app, self._answers = deps, app, answers
        self.asked: list[Message] = []

    def answers(self, kind: type[Message], answer: Callable[[Any], Any]) -> None:
        self._answers[kind] = answer

    def is_away(self, *kinds: type[Message]) -> None:
        for kind in kinds:
            self._answers[kind] = _away

    def told(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.asked if type(message) is kind]

    async def handle(self, kind: type[Message], message: Message) -> Any:
        self.asked.append(message)
        if kind not in self._answers:
            raise Unavailable(f"no test answers {kind.__name__}")
        answer = self._answers[kind](message)
        return await answer if hasattr(answer, "__await__") else answer

    async def get(self, path: str, *, member: bool = False, **headers: str) -> Answer:
        sent: dict[str, Any] = {"accept": "text/html", **({"cookie": "session=anna"} if member else {}), **headers}
        return await ask(self.app, "GET", path, **sent)

    async def post(self, path: str, form: Mapping[str, str], *, member: bool = False, **headers: str) -> Answer:
        own = {"accept": "text/html", "content_type": "application/x-www-form-urlencoded", "sec_fetch_site": "same-origin"}
        browser = f"{cookie_name('form', self.deps.secure)}=a-guests-browser"
        cookie = "; ".join(filter(None, (headers.pop("cookie", "session=anna" if member else ""), browser)))
        sent = {FIELD: self.form_token(ANNA if member else None), **form}
        return await ask(self.app, "POST", path, raw=urlencode(sent).encode(), **{**own, "cookie": cookie, **headers})

    def form_token(self, who: Identity | None) -> str:
        """What a page's form carries that was shown to them in this browser."""
        cookie = f"{cookie_name('form', self.deps.secure)}=a-guests-browser".encode()
        return self.deps.form_tokens.make(Request("GET", "/", b"", {b"cookie": cookie}, _nothing_more, "r", identity=who, secure=self.deps.secure))


async def _nothing_more() -> Any:
    raise AssertionError("nobody reads this request")


def _away(message: Message) -> Any:
    raise Unavailable(f"{type(message).__name__} is away")


@cache
def _front() -> tuple[JinjaPages, Mapping[str, Static]]:
    """Templates take a while to compile and hold no state: all tests share them."""
    statics, addresses = read_statics(HERE / "static")
    return JinjaPages(HERE / "templates", read_texts(HERE / "locale"), addresses, FUNCTIONS), statics


@asynccontextmanager
async def open_shop(folder: Path, public_url: str = "http://torg.test") -> AsyncIterator[Shop]:
    clock, registry, (pages, statics) = TestClock(), Registry([order]), _front()
    handlers: dict[type[Message], Callable[[Any], Any]] = {}
    call = LocalCalls(handlers)
    async with open_store(folder, "web", clock, registry) as store:
        app = App(clock, test_ids(), lambda token: call(user.Authenticate(token)), secure=is_secure(public_url))

        async def describe_api() -> Mapping[str, object]:
            return openapi(app.routes, "1", "http://torg.test")

        async def describe_events() -> Mapping[str, object]:
            return asyncapi(registry.types(), "1")

        describe = {"openapi": describe_api, "asyncapi": describe_events}
        deps = WebDeps(
            call=call, spare=(spare := Spared(call, 0.1)), search=Spared(call, 0.5), clock=clock, new_id=test_ids("cccccccc"), store=store, currency="USD",
            pages=pages, renewals=MemoryRenewals(call, clock), categories=MemoryCategories(call, spare), statics=statics, describe=describe,
            public_url=public_url, outside="", secure=is_secure(public_url), form_tokens=FormTokens("a secret"),
            new_token=lambda: "a-guests-browser",
        )  # fmt: skip
        shop = Shop(deps, app, dict(ANSWERS))
        for kind in registry_of_all():
            handlers[kind] = _bound(shop, kind)
        app.add(routes(deps), handlers.__getitem__, store)
        app.problem_page = problem_page(deps)
        yield shop


def registry_of_all() -> list[type[Message]]:
    return list(Registry([cart, catalog, notification, order, payment, review, shipping, user]).types())


def _bound(shop: Shop, kind: type[Message]) -> Callable[[Any], Any]:
    return lambda message: shop.handle(kind, message)


def visible(answer: Answer) -> str:
    """The words on a page."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", answer.body.decode(), flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)))
