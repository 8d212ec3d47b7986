"""Each write that the staff may ask for is asked for once, and has its line: who, by which right, about what, and before and after."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from tests.shop import Shop, Visitor, fresh, open_shop
from tests.staff.making import Maker
from torg.kit.access import Access
from torg.kit.auth import Identity
from torg.kit.http import Route
from torg.kit.http.changes import SAFE, WATCHED
from torg.kit.http.form_tokens import FIELD
from torg.kit.http.routes import API
from torg.kit.testing.countries import mapped
from torg.kit.testing.http import Answer

pytestmark = pytest.mark.asyncio(loop_scope="module")
ACCESS = Access.of_the_shop()
MADE = "it was made: there is nothing before"
COUNTED = "what was wrong, and what became of it, is in the answer"
SECRET = "only the secret is another one, and that is filed nowhere"
SEVERAL = "it is about as many things as there are; the answer says how many"
ASKED = "it is asked for again: what comes of it comes later"
NOTHING_BEFORE = {
    **dict.fromkeys(
        (
            "POST /api/v1/admin/clients", "POST /api/v1/admin/networks", "POST /api/v1/admin/countries", "POST /admin/countries",
            "POST /api/v1/products", "POST /api/v1/orders", "POST /api/v1/promo-codes",
            "POST /api/v1/purchase-orders", "POST /api/v1/suppliers", "POST /api/v1/warehouses", "POST /admin/clients", "POST /admin/networks",
            "POST /admin/promo-codes", "POST /admin/purchases", "POST /admin/suppliers",
        ),
        MADE,
    ),
    **dict.fromkeys(
        (
            "POST /api/v1/catalog/index/rebuild", "POST /api/v1/reviews/ratings/rebuild", "POST /api/v1/analytics/reports/rebuild",
            "POST /api/v1/admin/orders/{order_id}/rebuild", "POST /api/v1/admin/users/sessions/rebuild", "POST /api/v1/deliveries/{delivery_id}/rebuild",
            "POST /api/v1/inventory/rebuild", "POST /api/v1/payments/rebuild", "POST /api/v1/promo-codes/rebuild",
        ),
        COUNTED,
    ),
    **dict.fromkeys(("POST /api/v1/admin/clients/{client_id}/secret", "POST /admin/clients/{client_id}/secret"), SECRET),
    **dict.fromkeys(("POST /api/v1/products/import", "POST /api/v1/admin/dead-letters/redrive", "POST /admin/dead-letters/redrive"), SEVERAL),
    "POST /api/v1/payments/{payment_id}/check": ASKED,
}  # fmt: skip
NOTHING_AFTER = {
    "DELETE /api/v1/products/{product_id}",
    "DELETE /api/v1/admin/api-keys/{key_id}", "POST /admin/api-keys/{key_id}/withdraw", "DELETE /api/v1/admin/networks/{rule_id}",
    "POST /admin/networks/{rule_id}/remove", "DELETE /api/v1/admin/countries/{rule_id}",
    "POST /admin/countries/{rule_id}/remove", "POST /api/v1/admin/dead-letters/{dead_letter_id}/redrive", "POST /admin/dead-letters/{dead_letter_id}/redrive",
}  # fmt: skip
"""It is no more, or is shown no more."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    folder = tmp_path_factory.mktemp("trail-of-all")
    countries = mapped(folder / "countries.mmdb", {"198.51.100.0/24": "FR"})
    async with open_shop(folder / "shop", carrier_seconds=0, geo=str(countries)) as opened:
        yield opened


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def is_staffs(route: Route) -> bool:
    """Whether staff or partners may ask for it, for what is not their own."""
    if route.method in SAFE or not route.audited or not route.path.startswith((API, "/admin/")):
        return False
    grants = [grant for grant in ACCESS.policy.grants if route.right in grant.rights]
    return not any(grant.to not in WATCHED for grant in grants) or any(grant.to in WATCHED and not grant.own for grant in grants)


async def told(shop: Shop, route: Route, admin: Visitor, maker: Maker) -> tuple[Answer, dict[str, str]]:
    values = await maker.values(route.path)
    path = "/".join(values[part[1:-1]] if part.startswith("{") else part for part in route.path.split("/"))
    body = await maker.body(named(route), values)
    if route.path.startswith(API):
        more: dict[str, Any] = {"raw": body.encode(), "content_type": "text/csv"} if isinstance(body, str) else {}
        sent = None if isinstance(body, str) else body if body is not None or route.method == "DELETE" else {}
        reply = await Visitor(shop, admin.token, prefix="").ask(route.method, path, sent, **{"idempotency-key": fresh()}, **more)
        return reply, values
    assert body is None or isinstance(body, dict)
    page = await shop.send("GET", "/admin/users", cookie=f"session={admin.token}")
    token = re.search(f'name="{FIELD}" value="([0-9a-f]+)"', page.body.decode())
    assert token, "every page has a form"
    form = urlencode({FIELD: token[1], "key": fresh(), **(body or {})}).encode()
    headers = {"cookie": f"session={admin.token}", "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
    return await shop.send("POST", path, raw=form, **headers), values


def faults(route: Route, line: Any, reply: Answer, values: dict[str, str], admin: Identity) -> list[str]:
    """What is wrong with a line of the trail."""
    found = []
    about = next((values[part[1:-1]] for part in reversed(route.path.split("/")) if part.startswith("{")), "")
    if line["request_id"] != reply.headers["x-request-id"]:
        return ["there is no line"]
    if (line["actor"], line["by_right"], line["route"]) != (admin.user_id, route.right, route.path):
        found.append(f"it says {line['actor']} did {line['route']} by {line['by_right']}")
    if about and line["object"] != about:
        found.append(f"it is about {line['object'] or 'nothing'}, not {about}")
    if (line["before"] is None) is not (named(route) in NOTHING_BEFORE):
        found.append(f"before is {line['before']}")
    if (line["after"] is None) is not (named(route) in NOTHING_AFTER):
        found.append(f"after is {line['after']}")
    if secret := re.search(rb'"client_secret":"([^"]{8,})"', reply.body):
        found += ["the secret is in it"] if secret[1].decode() in str(line) else []
    return found


async def test_each_write_of_the_staff_has_its_line_with_before_and_after(shop: Shop):
    admin = await shop.sign_in("admin@torg.example")
    who = Identity((await admin.get("/users/me")).json["id"], frozenset())
    maker, wrong = Maker(shop, admin), list[str]()
    routes = [route for route in shop.routes if is_staffs(route)]
    for route in routes:
        reply, values = await told(shop, route, admin, maker)
        if reply.status >= 400:
            wrong.append(f"{named(route)}: {reply.status} {reply.body[:300]!r}")
            continue
        (line,) = (await admin.get("/admin/audit", limit=1)).json["items"]
        wrong += [f"{named(route)}: {fault}" for fault in faults(route, line, reply, values, who)]
    assert not wrong, "\n".join(wrong)
    assert len(routes) >= 70
    assert NOTHING_BEFORE.keys() | NOTHING_AFTER <= {named(route) for route in routes}


async def test_what_a_program_writes_names_it_and_whom_it_acts_for(shop: Shop):
    admin, buyer = await shop.staff("admin"), await shop.buyer()
    made = {"name": "Partner", "grants": ["client_credentials"], "scopes": ["cart:write"], "acts_for": buyer.user_id}
    client = (await admin.post("/admin/clients", made)).json
    form = urlencode({"grant_type": "client_credentials", "client_id": client["id"], "client_secret": client["client_secret"]}).encode()
    token = (await shop.send("POST", "/oauth/token", raw=form, content_type="application/x-www-form-urlencoded")).json["access_token"]
    key = (await buyer.post("/users/me/api-keys", {"name": "mine", "scopes": ["cart:write"]})).json
    for headers, program in (({"authorization": f"Bearer {token}"}, client["id"]), ({"x-api-key": key["key"]}, key["id"])):
        product_id = shop.product()
        reply = await Visitor(shop).ask("PUT", f"/cart/items/{product_id}", {"quantity": 2}, **headers)
        assert reply.status == 200, reply
        (line,) = (await admin.get("/admin/audit", limit=1)).json["items"]
        assert (line["client"], line["actor"], line["by_right"], line["object"]) == (program, buyer.user_id, "cart:write", product_id)
        assert product_id in {item["product_id"] for item in line["after"]["items"]}
        assert line["request_id"] == reply.headers["x-request-id"]


async def test_what_a_program_changes_for_somebody_is_filed_without_what_they_may_have_erased(shop: Shop):
    admin, buyer = await shop.staff("admin"), await shop.buyer(0)
    key = (await buyer.post("/users/me/api-keys", {"name": "mine", "scopes": ["account:write"]})).json["key"]
    program = Visitor(shop, headers={"x-api-key": key})
    address = {"city": "Tver", "street": "Sadovaya 17", "postcode": "170000"}
    assert (await program.post("/users/me/addresses", address)).status == 201
    assert (await program.patch("/users/me", {"full_name": "Maria Ivanova", "city": "Tver"})).status == 200
    named, saved = (await admin.get("/admin/audit", limit=2)).json["items"]
    assert (saved["after"]["city"], saved["after"]["street"]) == ("Tver", "—")
    assert (named["before"], named["after"]) == ({"full_name": "—", "city": "Moscow"}, {"full_name": "—", "city": "Tver"})
    assert not any(text in str([named, saved]) for text in ("Sadovaya", "170000", "Ivanova", "Petrova"))


async def test_nothing_that_signs_in_is_filed(shop: Shop):
    """Somebody of the staff who signs in once more, with a session."""
    support = await shop.staff("support")
    reply = await support.post("/sessions", {"email": "support@torg.example", "password": "Kettle-Harbour-42"})
    assert reply.status == 201
    lines = str((await (await shop.staff("admin")).get("/admin/audit", limit=3)).json)
    assert reply.json["access_token"] not in lines and reply.json["refresh_token"] not in lines
