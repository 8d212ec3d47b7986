"""What the ways in have in common."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from torg.contexts.web.model import safe_path
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import DomainError
from torg.kit.http import Response
from torg.kit.urls import origin_of

AUTHORIZE = "/oauth/authorize"


async def sign_in_page(visit: Visit, form: Mapping[str, str], refusal: DomainError | None = None, *, again: bool = False) -> Response:
    """`again`: they have signed in, and are to show anew who they are."""
    visit.sends_to = on_the_way_to(safe_path(form.get("next", "/")))
    visit.leads_in()
    faults = visit.faults(refusal) if refusal else {}
    return await visit.page("sign_in.html", refusal.status if refusal else 200, form=form, faults=faults, outside=visit.deps.outside, again=again)


def on_the_way_to(path: str) -> str:
    """Where a form on the way to a program may end up, for the policy of its page; empty for other ways."""
    parts = urlsplit(path)
    wanted = parse_qs(parts.query).get("redirect_uri", [""])[0] if parts.path == AUTHORIZE else ""
    origin = origin_of(wanted) if wanted else ""
    return origin if origin.isascii() and origin.isprintable() and not set(origin) & set(" ;,'\"*") else ""
