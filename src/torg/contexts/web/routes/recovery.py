"""Confirming an e-mail address, and a new password for whoever has forgotten theirs: what letters lead to."""

from __future__ import annotations

from torg.contexts.user.contracts import ConfirmEmail, RequestReset, ResetPassword, SendConfirmation
from torg.contexts.web.model import read_form
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response


async def show_forgotten(visit: Visit) -> Response:
    visit.leads_in()
    return await visit.page("forgot_password.html", form={}, faults={}, sent=False)


async def ask_for_reset(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.ask(read_form(RequestReset, form, visit.deps.clock(), address=visit.request.client))
    except DomainError as refusal:
        return await visit.page("forgot_password.html", refusal.status, form=form, faults=visit.faults(refusal), sent=False)
    return await visit.page("forgot_password.html", form=form, faults={}, sent=True)


async def show_reset(visit: Visit) -> Response:
    visit.leads_in()
    return await visit.page("reset_password.html", form=visit.request.query(), faults={})


async def reset(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.ask(read_form(ResetPassword, form, visit.deps.clock()))
    except DomainError as refusal:
        return await visit.page("reset_password.html", refusal.status, form=form, faults=visit.faults(refusal))
    visit.forget_session()
    visit.request.identity = None
    return visit.go("/sign-in", "password_reset")


async def show_confirmation(visit: Visit) -> Response:
    """With a button: programs that look into letters follow their links, and confirm nothing by that."""
    return await visit.page("confirm_email.html", form=visit.request.query(), faults={})


async def confirm(visit: Visit) -> Response:
    form = await visit.form()
    try:
        await visit.ask(read_form(ConfirmEmail, form, visit.deps.clock()))
    except DomainError as refusal:
        return await visit.page("confirm_email.html", refusal.status, form=form, faults=visit.faults(refusal))
    return visit.go("/profile" if visit.identity else "/", "email_confirmed")


async def send_again(visit: Visit) -> Response:
    try:
        await visit.ask(SendConfirmation(visit.member))
    except DomainError as refusal:
        if refusal.code != "user.confirmed":
            raise
    return visit.go("/profile", "confirmation_sent")
