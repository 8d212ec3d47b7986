"""Pages, as a stranger who has signed in asks for them with the ids of somebody else's things: they are not there, and nothing of them changes."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import pytest

from tests.attacks.conftest import Town
from tests.shop.browser import Form
from torg.kit.http.routes import API

pytestmark = pytest.mark.asyncio(loop_scope="session")

FILLED: Final = {"reason": "not mine", "step": "x", "confirm": "yes", "text": "mine", "rating": "5", "title": "mine"}


async def test_somebody_elses_things_are_on_no_page_and_no_form_changes_them(town: Town):
    thief, hers = await town.shop.buyer(), await things_of(town)
    token = Form((await town.open("GET", "/profile", thief.token)).body.decode()).fields["form_token"]
    before, tried, wrong = await seen(town), set[str](), []
    for route in town.routes:
        names = {part[1:-1] for part in route.path.split("/") if part.startswith("{")}
        if route.path.startswith((API, "/acquirer/")) or not names or not names <= hers.keys():
            continue
        path = "/".join(hers.get(part[1:-1], part) if part.startswith("{") else part for part in route.path.split("/"))
        form = urlencode({**FILLED, "form_token": token}).encode() if route.method == "POST" else None
        answer = await town.send(route.method, path, thief.token, form)
        tried.add(f"{route.method} {route.path}")
        if answer.status not in (403, 404):
            wrong.append(f"{route.method} {route.path}: {answer.status}")
    assert not wrong, "\n".join(wrong)
    assert len(tried) > 20
    assert await seen(town) == before


async def things_of(town: Town) -> dict[str, str]:
    anna = town.buyer
    address = (await anna.post("/users/me/addresses", {"city": "Moscow", "street": "A 1", "postcode": "125009", "country": "RU"})).json
    key = (await anna.post("/users/me/api-keys", {"name": "mine", "scopes": ["orders:read"]})).json
    own = {"address_id": address["id"], "key_id": key["id"], "user_id": anna.user_id, "session_id": (await anna.get("/sessions")).json["items"][0]["id"]}
    return {**{name: value for name, value in town.known.items() if name.endswith("_id") and name != "product_id"}, **own}


async def seen(town: Town) -> list[Any]:
    """What she has."""
    return [(await town.buyer.get(path)).json for path in ("/users/me/addresses", "/users/me/api-keys", "/sessions", "/orders", "/notifications")]
