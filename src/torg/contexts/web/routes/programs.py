"""Programs of others: whether somebody lets one in, which they have let in, and the keys of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import TypeVar

import msgspec

from torg.contexts.user.contracts import (
    AnswerAuthorization,
    Authorization,
    CheckAuthorization,
    CheckLeaving,
    EndApiKey,
    LeaveRequest,
    ListApiKeys,
    ListConsents,
    MakeApiKey,
    NewApiKey,
    RotateApiKey,
    SignOut,
    WithdrawConsent,
)  # fmt: skip
from torg.contexts.web.model import read_form
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError, FieldError, Invalid
from torg.kit.http import Response
from torg.kit.urls import origin_of

S = TypeVar("S", bound=msgspec.Struct)


async def authorize(visit: Visit) -> Response:
    """Where a program sends people to be let in."""
    given = _read(Authorization, visit.request.query())
    asked = await visit.ask(CheckAuthorization(given, visit.identity))
    if asked.redirect:
        return visit.go(asked.redirect)
    if asked.sign_in:
        return visit.go(link("/sign-in", next=visit.here, again="yes"))
    if asked.settled:
        return visit.go((await visit.ask(AnswerAuthorization(asked=given, holder=visit.member, allowed=True))).where)
    visit.sends_to = asked.origin
    told = {name: value for name, value in msgspec.structs.asdict(given).items() if value}
    return await visit.page("consent.html", asked=asked, told=told, may=partial(visit.deps.access.scope_words, language=visit.language))


async def answer(visit: Visit) -> Response:
    form = await visit.form()
    given = AnswerAuthorization(asked=_read(Authorization, form), holder=visit.member, allowed=form.get("answer") == "allow")
    return visit.go((await visit.ask(given)).where)


async def leave(visit: Visit) -> Response:
    """Where a program sends people who sign out of it, and perhaps of the shop."""
    given = _read(LeaveRequest, visit.request.query())
    leaving = await visit.ask(CheckLeaving(given, visit.identity))
    if visit.identity is None or leaving.certain:
        return await _left(visit, leaving.where)
    visit.sends_to = origin_of(leaving.where) if leaving.where else ""
    told = {name: value for name, value in msgspec.structs.asdict(given).items() if value}
    return await visit.page("leave.html", leaving=leaving, told=told)


async def left(visit: Visit) -> Response:
    leaving = await visit.ask(CheckLeaving(_read(LeaveRequest, await visit.form()), visit.identity))
    return await _left(visit, leaving.where)


async def programs(visit: Visit) -> Response:
    return await _page(visit)


async def shut_out(visit: Visit) -> Response:
    await visit.ask(WithdrawConsent(visit.member, visit.request.path_values["client_id"]))
    return visit.go("/profile/programs", "program_out")


async def make_key(visit: Visit) -> Response:
    form = await visit.form()
    try:
        made = await visit.ask(_key(visit, form))
    except DomainError as refusal:
        return await _page(visit, refusal.status, form, visit.faults(refusal))
    return await _page(visit, made=made)


async def rotate_key(visit: Visit) -> Response:
    made = await visit.ask(RotateApiKey(holder=visit.member, key_id=visit.request.path_values["key_id"]))
    return await _page(visit, made=made, rotated=True)


async def end_key(visit: Visit) -> Response:
    await visit.ask(EndApiKey(visit.member, visit.request.path_values["key_id"]))
    return visit.go("/profile/programs", "key_ended")


async def _left(visit: Visit, where: str) -> Response:
    if visit.identity:
        await visit.ask(SignOut(visit.identity))
    visit.forget_session()
    visit.request.identity = None
    return visit.go(where or "/", "" if where else "signed_out")


async def _page(
    visit: Visit,
    status: int = 200,
    form: Mapping[str, str] | None = None,
    faults: Mapping[str, str] | None = None,
    made: NewApiKey | None = None,
    rotated: bool = False,
) -> Response:
    consents, keys = await asyncio.gather(visit.ask(ListConsents(visit.member)), visit.ask(ListApiKeys(visit.member)))
    return await visit.page(
        "programs.html", status, consents=consents.items, keys=keys.items, form=form or {}, faults=faults or {}, made=made, rotated=rotated,
        scopes=visit.deps.access.scopes_of_use(visit.member), may=partial(visit.deps.access.scope_words, language=visit.language),
    )  # fmt: skip


def _key(visit: Visit, form: Mapping[str, str]) -> MakeApiKey:
    """Raises Invalid."""
    chosen = tuple(scope for scope in visit.deps.access.scopes_of_use(visit.member) if form.get(scope))
    if not chosen:
        raise Invalid.fields(FieldError("scopes", "missing", "choose what the key may do"))
    return read_form(MakeApiKey, form, visit.deps.clock(), holder=visit.member, scopes=chosen)


def _read(kind: type[S], form: Mapping[str, str]) -> S:
    """What was sent of it; too long a value is as good as none."""
    try:
        return msgspec.convert({field.name: form[field.name] for field in msgspec.structs.fields(kind) if field.name in form}, kind)
    except msgspec.ValidationError as error:
        raise Invalid.fields(FieldError("", "invalid", str(error))) from error
