"""Letting programs of others in, and keys of one's own, on pages."""

from __future__ import annotations

import pytest

from torg.contexts.user.contracts import Asked, CheckAuthorization, CheckLeaving, Leaving, SignOut
from torg.contexts.web.routes.entering import on_the_way_to
from torg.contexts.web.tests.house import Shop, visible

ASKED = "/oauth/authorize?client_id=c&redirect_uri=https%3A%2F%2Fledger.example%2Fback&response_type=code&scope=openid+orders%3Aread&state=s"


async def test_a_guest_signs_in_first_and_comes_back(shop: Shop) -> None:
    shop.answers(CheckAuthorization, lambda _: Asked(client_name="Ledger", sign_in=True))
    reply = await shop.get(ASKED)
    assert reply.status == 303
    assert reply.headers["location"].startswith("/sign-in?next=%2Foauth%2Fauthorize%3F")


async def test_the_page_says_who_asks_for_what_and_lets_the_form_lead_there(shop: Shop) -> None:
    page = await shop.get(ASKED, member=True)
    words = visible(page)
    assert "Ledger" in words
    assert "see your orders" in words
    assert "go back to https://ledger.example" in words
    assert "form-action 'self' https://ledger.example;" in page.headers["content-security-policy"]
    assert 'name="state" value="s"' in page.body.decode()


async def test_yes_and_no_lead_back_to_the_program(shop: Shop) -> None:
    for answer, came in (("allow", "code=1"), ("deny", "error=access_denied")):
        reply = await shop.post("/oauth/authorize", {"client_id": "c", "answer": answer}, member=True)
        assert (reply.status, reply.headers["location"]) == (303, f"https://ledger.example/back?{came}")


async def test_whoever_has_agreed_before_is_not_asked_again(shop: Shop) -> None:
    shop.answers(CheckAuthorization, lambda _: Asked(client_name="Ledger", scopes=("openid",), origin="https://ledger.example", settled=True))
    assert (await shop.get(ASKED, member=True)).headers["location"] == "https://ledger.example/back?code=1"


async def test_signing_out_for_a_program_is_asked_about_unless_it_is_certain(shop: Shop) -> None:
    asked = "/oauth/logout?post_logout_redirect_uri=https%3A%2F%2Fledger.example%2Fbye"
    assert (await shop.get(asked, member=True)).status == 200
    assert SignOut not in [type(message) for message in shop.asked]
    shop.answers(CheckLeaving, lambda _: Leaving(where="https://ledger.example/bye", client_name="Ledger", certain=True))
    reply = await shop.get(asked, member=True)
    assert (reply.status, reply.headers["location"]) == (303, "https://ledger.example/bye")
    assert SignOut in [type(message) for message in shop.asked]


async def test_a_new_key_is_shown_on_the_page_that_made_it_alone(shop: Shop) -> None:
    made = await shop.post("/profile/keys", {"name": "Stock sheet", "orders:read": "1", "days": "30"}, member=True)
    assert "torg_0a1b2c3d_secret" in visible(made)
    assert made.headers["cache-control"] == "private, no-store"
    assert "torg_0a1b2c3d_secret" not in visible(await shop.get("/profile/programs", member=True))


async def test_a_key_that_may_do_nothing_is_not_made(shop: Shop) -> None:
    reply = await shop.post("/profile/keys", {"name": "Stock sheet"}, member=True)
    assert reply.status == 422
    assert "fault" in reply.body.decode()


@pytest.mark.parametrize(
    ("path", "origin"),
    [
        ("/oauth/authorize?redirect_uri=https%3A%2F%2Fledger.example%2Fback", "https://ledger.example"),
        ("/oauth/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A5000%2F", "http://127.0.0.1:5000"),
        ("/oauth/authorize?redirect_uri=https%3A%2F%2Fx.example%3B%20script-src%20*", ""),
        ("/oauth/authorize?redirect_uri=https%3A%2F%2F*", ""),
        ("/orders?redirect_uri=https%3A%2F%2Fledger.example", ""),
    ],
)
def test_a_policy_is_opened_for_an_address_and_for_nothing_else(path: str, origin: str) -> None:
    assert on_the_way_to(path) == origin
