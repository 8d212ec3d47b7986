"""The staff's pages in a composed process: who may open which, what their forms do, and that they speak both languages."""

from __future__ import annotations

import re
import tomllib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args
from urllib.parse import urlencode

import pytest

from torg import background, compose, topology
from torg.contexts.admin import contracts as c
from torg.contexts.admin.routes.pages import SENT, SENT_ONCE, SHOWN
from torg.contexts.admin.routes.pages.deliveries import DO, TABS
from torg.contexts.admin.routes.pages.reports import bars, filled
from torg.contexts.admin.routes.pages.reviews import REASONS
from torg.contexts.admin.routes.pages.visit import SAID, SECTIONS
from torg.contexts.admin.tests.house import placed, usd
from torg.contexts.analytics.contracts import FUNNEL, SalesRow
from torg.contexts.inventory.contracts import AddSupplier, CreateWarehouse, GetStock, ListPurchaseOrders, PurchaseStatus, ReceiveStock, Units
from torg.contexts.order.contracts import Status
from torg.contexts.user.contracts import EnsureUser, SignIn
from torg.kit.access import Access
from torg.kit.auth import STAFF, Identity, Role
from torg.kit.bus import Failures
from torg.kit.http.form_tokens import FIELD
from torg.kit.messages import Envelope, Meta
from torg.kit.settings import Settings
from torg.kit.testing.http import Answer, ask

HERE = compose.CONTEXTS / "admin"
PASSWORD = "Long-1234-and-better"
CONTEXTS = tuple(context for context in topology.CONTEXTS if context not in ("web", "notification"))
EVERYBODY = (*STAFF, Role.CUSTOMER)
ACCESS = Access.of_the_shop()


class Shop:
    """A composed shop without demonstration and without pages of its own, and somebody signed in for each role."""

    def __init__(self, app: compose.Running) -> None:
        self.app = app
        self.tokens: dict[Role, str] = {}
        self.ids: dict[Role, str] = {}

    async def sign_in(self, role: Role) -> None:
        email = f"{role}@torg.example"
        self.ids[role] = (await self.app.call(EnsureUser(email=email, password=PASSWORD, full_name=role.title(), roles=(role,)))).id
        self.tokens[role] = (await self.app.call(SignIn(email=email, password=PASSWORD))).access_token

    async def get(self, role: Role | None, path: str, language: str = "en") -> Answer:
        cookie = f"language={language}" + (f"; session={self.tokens[role]}" if role else "")
        return await ask(self.app.http, "GET", path, cookie=cookie)

    async def send(self, role: Role | None, path: str, site: str = "same-origin", **form: str) -> Answer:
        headers = {"content_type": "application/x-www-form-urlencoded", "sec_fetch_site": site}
        headers |= {"cookie": f"session={self.tokens[role]}"} if role else {}
        form = {FIELD: await self.form_token(role), **form} if role else form
        return await ask(self.app.http, "POST", path, raw=urlencode(form).encode(), **headers)

    async def form_token(self, role: Role) -> str:
        found = re.search(f'name="{FIELD}" value="([0-9a-f]+)"', (await self.get(role, "/admin/overview")).body.decode())
        assert found, "every page has a form"
        return found[1]


@asynccontextmanager
async def opened(folder: Path, roles: Iterable[Role] = EVERYBODY, geo: str = "") -> AsyncIterator[Shop]:
    app = await compose.compose(Settings(data=str(folder), sync="OFF", password_memory_kib=8, demo=False, staff_factor="never", geo=geo), CONTEXTS)
    shop = Shop(app)
    try:
        await background.start(app)
        for role in roles:
            await shop.sign_in(role)
        yield shop
    finally:
        await app.close()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened(tmp_path) as found:
        yield found


async def test_each_page_opens_for_its_roles_alone(shop: Shop) -> None:
    for path, (right, _) in SHOWN.items():
        address = re.sub(r"{\w+}", "none", path)
        for role in EVERYBODY:
            reply = await shop.get(role, address)
            if ACCESS.sees_all(Identity("somebody", frozenset({role})), right):
                assert reply.status in (200, 303, 404, *([503] if "charges" in path else [])), (path, role, reply.status)  # its acquirer is away
            else:
                assert reply.status == 403, (path, role)
        assert (await shop.get(None, address)).headers["location"] == f"/sign-in?next={address.replace('/', '%2F')}", path


async def test_each_form_is_taken_from_its_roles_alone(shop: Shop) -> None:
    for path, (right, _) in {**SENT, **SENT_ONCE}.items():
        address = re.sub(r"{\w+}", "none", path)
        for role in EVERYBODY:
            reply = await shop.send(role, address, key=f"{path}-{role}")
            assert (reply.status != 403) is (ACCESS.sees_all(Identity("somebody", frozenset({role})), right)), (path, role, reply.status)
            assert reply.status < 500 or "charges" in path, (path, role, reply.body)
        assert (await shop.send(None, address)).headers["location"] == "/sign-in?next=%2Fadmin", path
    assert (await shop.send(Role.ADMIN, "/admin/suppliers", site="cross-site", name="Evil")).status == 403


async def test_the_first_page_is_the_roles_own_and_its_links_are_those_that_open(shop: Shop) -> None:
    firsts = {role: (await shop.get(role, "/admin/")).headers["location"] for role in STAFF}
    assert firsts[Role.ADMIN] == firsts[Role.SUPPORT] == "/admin/overview"
    assert firsts[Role.COURIER] == firsts[Role.WAREHOUSE] == "/admin/deliveries"
    assert (firsts[Role.MODERATOR], firsts[Role.ANALYST]) == ("/admin/reviews", "/admin/reports")
    for role, first in firsts.items():
        links = re.findall(r'<li><a href="(/admin/[\w-]+)"', (await shop.get(role, first)).body.decode())
        assert links
        assert all([(await shop.get(role, link)).status == 200 for link in links]), role


async def test_pages_allow_no_foreign_content_and_are_never_kept(shop: Shop) -> None:
    reply = await shop.get(Role.ADMIN, "/admin/overview")
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "private, no-store"
    assert not re.search(rb"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", reply.body)
    sheet = re.search(r'href="(/admin/static/[\w.]+css)"', reply.body.decode())
    assert sheet
    assert (await shop.get(None, sheet[1])).headers["cache-control"].endswith("immutable")


async def test_a_correction_sent_twice_counts_once(shop: Shop) -> None:
    house = await shop.app.call(CreateWarehouse(name="Main", city="Moscow"))
    await shop.app.call(ReceiveStock(warehouse_id=house.id, lines=(Units("p1", 10),), reason="opening"))
    for _ in range(2):
        reply = await shop.send(Role.WAREHOUSE, "/admin/stock/p1/movements", key="once", warehouse_id=house.id, quantity="-3", reason="broken")
        assert (reply.status, reply.headers["location"]) == (303, "/admin/stock/p1?done=corrected")
    assert (await shop.app.call(GetStock("p1"))).available == 7
    page = (await shop.get(Role.WAREHOUSE, "/admin/stock/p1?done=corrected")).body.decode()
    assert "The stock was corrected." in page
    assert "broken" in page
    refused = await shop.send(Role.WAREHOUSE, "/admin/stock/p1/movements", key="other", warehouse_id=house.id, quantity="-99", reason="typo")
    assert refused.status == 422
    assert 'role="alert"' in refused.body.decode()


async def test_a_purchase_is_drafted_from_typed_lines_and_unreadable_ones_are_kept(shop: Shop) -> None:
    house = await shop.app.call(CreateWarehouse(name="Main", city="Moscow"))
    supplier = await shop.app.call(AddSupplier(name="Farm"))
    refused = await shop.send(Role.WAREHOUSE, "/admin/purchases", key="a", supplier_id=supplier.id, warehouse_id=house.id, wanted="p1 many")
    assert refused.status == 422
    assert "p1 many" in refused.body.decode()
    assert "1029743 24" in refused.body.decode()
    assert not (await shop.app.call(ListPurchaseOrders())).items


async def test_roles_and_promo_codes_are_given_by_an_administrator_and_audited(shop: Shop) -> None:
    buyer = shop.ids[Role.CUSTOMER]
    reply = await shop.send(Role.ADMIN, f"/admin/users/{buyer}/roles", customer="1", courier="1", q="customer@")
    assert reply.headers["location"] == "/admin/users?q=customer%40&done=roles"
    assert (await shop.get(Role.CUSTOMER, "/admin/")).headers["location"] == "/admin/deliveries"
    made = await shop.send(Role.ADMIN, "/admin/promo-codes", key="k", code="SPRING", kind="amount", amount="2,50", minimum_total="10")
    assert made.status == 303
    page = (await shop.get(Role.ADMIN, "/admin/promo-codes")).body.decode()
    assert "SPRING" in page
    assert "$2.50" in page
    refused = await shop.send(Role.ADMIN, "/admin/promo-codes", key="l", code="BAD", kind="amount", amount="much")
    assert refused.status == 422
    trail = (await shop.app.call(c.ListAudit())).items
    assert [(entry.route, entry.status) for entry in trail] == [
        ("/admin/promo-codes", 422), ("/admin/promo-codes", 303), ("/admin/users/{user_id}/roles", 303),
    ]  # fmt: skip
    assert (await shop.get(Role.SUPPORT, "/admin/audit?actor=admin@torg.example")).body.decode().count("/admin/promo-codes</code>") == 2


async def test_one_button_has_all_that_a_consumer_gave_up_on_handled_anew(shop: Shop) -> None:
    store = shop.app.stores["payment"]
    async with store.transaction() as tx:
        for number in range(3):
            row = Envelope(1, f"order/o{number}/1", "order", f"o{number}", 1, placed(f"o{number}"), Meta(), store.clock())
            await Failures(store, shop.app.registry).keep(tx, "payment", row, "ValueError: no", 8)
    page = (await shop.get(Role.SUPPORT, "/admin/dead-letters")).body.decode()
    assert page.count("Handle all order.placed of payment anew") == 1
    refused = await shop.send(Role.SUPPORT, "/admin/dead-letters/redrive")
    assert (refused.status, 'role="alert"' in refused.body.decode()) == (422, True)
    reply = await shop.send(Role.SUPPORT, "/admin/dead-letters/redrive", consumer="payment", name="order.placed")
    assert (reply.status, reply.headers["location"]) == (303, "/admin/dead-letters?done=redriven_all")
    after = (await shop.get(Role.SUPPORT, "/admin/dead-letters?done=redriven_all")).body.decode()
    assert "The messages will be handled anew." in after
    assert "ValueError" not in after


async def test_an_order_is_looked_for_by_number_and_by_person(shop: Shop) -> None:
    number = "019a0000-0000-7000-8000-000000000001"
    assert (await shop.get(Role.SUPPORT, f"/admin/orders?q={number}")).headers["location"] == f"/admin/orders/{number}"
    assert (await shop.get(Role.SUPPORT, f"/admin/orders/{number}")).status == 404
    several = (await shop.get(Role.SUPPORT, "/admin/orders?q=c")).body.decode()
    assert "courier@torg.example" in several
    assert "customer@torg.example" in several


async def test_pages_speak_russian(shop: Shop) -> None:
    page = (await shop.get(Role.ADMIN, "/admin/overview", "ru")).body.decode()
    assert '<html lang="ru">' in page
    assert "Заказы за сегодня" in page
    assert (await shop.get(Role.ADMIN, "/admin/orders?from=yesterday", "ru")).status == 422


def test_every_text_of_the_pages_has_its_translation() -> None:
    words = tomllib.loads((HERE / "locale" / "ru.toml").read_text())
    said = [
        text for page in (HERE / "templates").glob("*.html") for text in re.findall(r"'((?:[^'{}]|\{\w+\})+)' \| t\b|nothing\('([^']+)'\)", page.read_text())
    ]
    texts = {first or second for first, second in said}
    texts |= {*SAID.values(), *DO.values(), *REASONS, *(name for name, _ in SECTIONS), *(label for _, links in SECTIONS for _, label, _ in links)}
    names = {*get_args(Status), *get_args(PurchaseStatus), *TABS, *FUNNEL, *Role}
    texts |= {name.replace("_", " ") for name in names}
    assert not texts - words.keys()


def test_a_chart_has_a_bar_for_each_day_and_the_best_is_the_highest() -> None:
    sold = [SalesRow(key="2026-03-01", orders=1, units=1, revenue=usd(50)), SalesRow(key="2026-03-03", orders=2, units=2, revenue=usd(100))]
    drawn = bars(filled(sold, "2026-03-01", "2026-03-04", "USD"))
    assert [bar.row.key for bar in drawn] == ["2026-03-01", "2026-03-02", "2026-03-03"]
    assert [bar.height for bar in drawn] == [80, 0, 160]
    assert all(bar.y + bar.height == 160 for bar in drawn)


async def test_programs_are_registered_by_an_administrator_and_their_secret_is_shown_once(shop: Shop) -> None:
    form = {"name": "Ledger", "redirect_uris": "https://ledger.example/back", "logout_uris": "", "openid": "1", "orders:read": "1", "tier": "premium"}
    made = (await shop.send(Role.ADMIN, "/admin/clients", **form)).body.decode()
    secret = made.partition('role="status"')[2].partition("</section>")[0].split("<code>")[2].partition("<")[0]
    assert len(secret) == 43
    page = (await shop.get(Role.ADMIN, "/admin/clients")).body.decode()
    assert "Ledger" in page
    assert secret not in page
    wrong = await shop.send(Role.ADMIN, "/admin/clients", **{**form, "redirect_uris": "http://ledger.example/"})
    assert wrong.status == 422
    assert "must be https" in wrong.body.decode()
    assert (await shop.get(Role.SUPPORT, "/admin/clients")).status == 403
    assert "API keys" in (await shop.get(Role.SUPPORT, "/admin/api-keys")).body.decode()
