"""Promo codes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from torg.contexts.admin.routes.pages.visit import Given, Visit
from torg.contexts.cart.contracts import CreatePromoCode, DisablePromoCode, ListPromoCodes
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.http import Response
from torg.kit.http.forms import read_form
from torg.kit.values import Money

UNITS = 100  # minor units of the currency


async def listed(visit: Visit, refusal: DomainError | None = None) -> Response:
    page = await visit.ask(ListPromoCodes(cursor=visit.query.get("cursor", ""), limit=100))
    typed = await visit.form() if refusal else Given()
    return visit.page("promo_codes.html", refusal, codes=page.items, more_cursor=page.next_cursor, typed=typed)


async def create(visit: Visit) -> Response:
    try:
        form = {**await visit.form()}
        amounts = {name: _money(form, name, visit.deps.currency) for name in ("amount", "minimum_total")}
        days = {name: f"{form[name]}T00:00:00Z" for name in ("valid_from", "valid_until") if form.get(name)}
        await visit.ask(read_form(CreatePromoCode, {**form, **days}, visit.deps.clock(), **amounts))
    except DomainError as refusal:
        return await listed(visit.back_at("/admin/promo-codes"), refusal)
    return visit.go("/admin/promo-codes", "created")


async def disable(visit: Visit) -> Response:
    await visit.ask(DisablePromoCode(visit.of_path("code")))
    return visit.go("/admin/promo-codes", "disabled")


def _money(form: Mapping[str, str], name: str, currency: str) -> Money | None:
    """What was typed as 12.50. Raises Invalid."""
    typed = form.get(name, "").replace(",", ".").replace(" ", "")
    if not typed:
        return None
    try:
        amount = Decimal(typed) * UNITS
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount != int(amount) or not 0 < amount < 10**12:
        raise Invalid.fields(FieldError(name, "invalid", f"write an amount such as 12.50, not {form[name]!r}"))
    return Money(int(amount), currency)
