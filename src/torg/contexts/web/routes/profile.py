"""A member's own pages: who they are, where they live, what their wallet holds, and leaving for good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
from babel.numbers import get_currency_precision

from torg.contexts.payment.contracts import GetWallet, TopUpWallet
from torg.contexts.user.contracts import (
    AddAddress,
    ChangeAddress,
    ChangePassword,
    ChangeProfile,
    EndSession,
    EraseMe,
    ExportMyData,
    GetProfile,
    ListAddresses,
    ListSessions,
    RemoveAddress,
)  # fmt: skip
from torg.contexts.web.model import minor_units, read_form
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError, FieldError, Invalid, NotFound
from torg.kit.http import Response
from torg.kit.messages import encode
from torg.kit.values import Money

ENTRIES = 20
TOP_UPS = (1000, 5000, 10000)  # minor units, as suggestions


async def profile(visit: Visit) -> Response:
    return await _page(visit)


async def change(visit: Visit) -> Response:
    async def work(form: dict[str, str]) -> None:
        typed = {name: form[name] for name in ("email", "full_name", "birth_date") if form.get(name)}
        given = {"city": form["city"]} if "city" in form else {}
        cleared = {} if form.get("birth_date") else {"birth_date": None}
        await visit.ask(read_form(ChangeProfile, typed, visit.deps.clock(), holder=visit.member, language=visit.language, **given, **cleared))

    return await _do(visit, "profile", work, "profile_saved")


async def change_password(visit: Visit) -> Response:
    async def work(form: dict[str, str]) -> None:
        await visit.ask(read_form(ChangePassword, form, visit.deps.clock(), holder=visit.member))

    return await _do(visit, "password", work, "password_changed")


async def add_address(visit: Visit) -> Response:
    async def work(form: dict[str, str]) -> None:
        await visit.ask(read_form(AddAddress, form, visit.deps.clock(), holder=visit.member))

    return await _do(visit, "address", work, "address_saved")


async def prefer_address(visit: Visit) -> Response:
    wanted = visit.request.path_values["address_id"]
    one = next((one for one in (await visit.ask(ListAddresses(visit.member))).items if one.id == wanted), None)
    if one is None:
        raise NotFound("address.not_found", f"you have no address {wanted}")
    told = {"city": one.city, "street": one.street, "postcode": one.postcode, "country": one.country}
    await visit.ask(ChangeAddress(holder=visit.member, address_id=wanted, is_default=True, **told))
    return visit.go("/profile#addresses", "address_saved")


async def remove_address(visit: Visit) -> Response:
    await visit.ask(RemoveAddress(visit.member, visit.request.path_values["address_id"]))
    return visit.go("/profile#addresses", "address_removed")


async def end_session(visit: Visit) -> Response:
    await visit.ask(EndSession(visit.member, visit.request.path_values["session_id"]))
    return visit.go("/profile#sessions", "session_ended")


async def export(visit: Visit) -> Response:
    data = await visit.ask(ExportMyData(visit.member))
    body = msgspec.json.format(encode(data), indent=2)
    named = (b"content-disposition", b'attachment; filename="torg-my-data.json"')
    return Response(200, body, [(b"content-type", b"application/json"), (b"cache-control", b"no-store"), named])


async def erase(visit: Visit) -> Response:
    async def work(form: dict[str, str]) -> None:
        if form.get("sure") != "yes":
            raise Invalid.fields(FieldError("sure", "missing", "say that you are sure"))
        await visit.ask(EraseMe(visit.member))
        visit.forget_session()
        visit.request.identity = None

    return await _do(visit, "erase", work, "erased", "/")


async def wallet(visit: Visit) -> Response:
    return await _wallet(visit)


async def top_up(visit: Visit) -> Response:
    form, currency = await visit.form(), visit.deps.currency
    amount = minor_units(form.get("amount", ""), get_currency_precision(currency))
    try:
        if amount is None:
            raise Invalid.fields(FieldError("amount", "not_an_amount", "write an amount, such as 25.00"))
        given = {"owner": visit.member, "amount": Money(amount, currency), "reference": form.get("key", "")[:64]}  # sent twice, it is put in once
        await visit.ask(read_form(TopUpWallet, {}, visit.deps.clock(), **given))
    except DomainError as refusal:
        return await _wallet(visit, refusal.status, form, visit.faults(refusal))
    return visit.go("/wallet", "topped_up")


async def _wallet(visit: Visit, status: int = 200, form: Mapping[str, str] | None = None, faults: Mapping[str, str] | None = None) -> Response:
    cursor = visit.request.query().get("cursor", "") if status == 200 else ""
    held = await visit.ask(GetWallet(owner=visit.member, cursor=cursor, limit=ENTRIES))
    more = link("/wallet", cursor=held.next_cursor) if held.next_cursor else ""
    suggested = [Money(amount, visit.deps.currency) for amount in TOP_UPS]
    return await visit.page("wallet.html", status, wallet=held, form=form or {}, faults=faults or {}, key=visit.deps.new_id(), suggested=suggested, more=more)


async def _do(visit: Visit, section: str, work: Callable[[dict[str, str]], Awaitable[None]], said: str, then: str = "") -> Response:
    """Carries out one of the page's forms; its faults are shown beside its own fields."""
    form, _ = await visit.form(), visit.member
    try:
        await work(form)
    except DomainError as refusal:
        faults = {f"{section}.{field}": sentence for field, sentence in visit.faults(refusal).items()}
        return await _page(visit, refusal.status, {f"{section}.{name}": value for name, value in form.items()}, faults)
    return visit.go(then or f"/profile#{section}", said)


async def _page(visit: Visit, status: int = 200, form: Mapping[str, str] | None = None, faults: Mapping[str, str] | None = None) -> Response:
    me = visit.member
    who, addresses, sessions = await asyncio.gather(visit.ask(GetProfile(me)), visit.ask(ListAddresses(me)), visit.ask(ListSessions(me)))
    return await visit.page(
        "profile.html",
        status,
        who=who,
        addresses=addresses.items,
        sessions=sessions.items,
        form=form or {},
        faults=faults or {},
        staff=visit.is_staff,
    )
