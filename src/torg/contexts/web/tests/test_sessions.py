"""Signing in by a form, staying signed in, and leaving."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from torg.contexts.user.contracts import ChangePassword, EndSession, ListSessions, RefreshSession, RegisterUser, Sessions, SignIn, SignOut, Tokens
from torg.contexts.web.adapters.renewals_memory import MemoryRenewals
from torg.contexts.web.tests.house import ANNA, CART_ID, SESSION, TOKENS, Shop, open_shop, visible
from torg.kit.errors import DomainError, FieldError, Invalid, Unauthenticated, Unavailable
from torg.kit.testing import TestClock, answering
from torg.kit.testing.http import Answer, ask

FORM = {"email": "anna@example.com", "password": "four words in a row", "full_name": "Anna <b>", "city": "Moscow"}


def cookies(answer: Answer) -> list[str]:
    """The cookies of an answer; the test's client keeps the last one, so pages that set several are asked for by the app itself."""
    return [value for name, value in answer.headers.items() if name == "set-cookie"]


async def test_refused_registration_shows_each_fault_beside_its_field_and_keeps_what_was_typed(shop: Shop) -> None:
    answer = await shop.post("/register", {**FORM, "email": "nobody", "password": "short"})
    text = answer.body.decode()
    assert answer.status == 422
    assert 'id="email-fault"' in text
    assert 'id="password-fault"' in text
    assert 'value="Anna &lt;b&gt;"' in text
    assert "short" not in text
    assert shop.told(RegisterUser) == []


async def test_taken_address_is_said_beside_it(shop: Shop) -> None:
    def refuse(_: object) -> None:
        raise DomainError("user.email_taken", "taken")

    shop.answers(RegisterUser, refuse)
    answer = await shop.post("/register", FORM)
    assert answer.status == 409
    assert 'id="email-fault"' in answer.body.decode()


async def test_faults_are_told_in_the_readers_language(shop: Shop) -> None:
    def refuse(_: object) -> None:
        raise Invalid.fields(FieldError("password", "invalid", "use something longer"))

    shop.answers(RegisterUser, refuse)
    assert "Use something longer." in visible(await shop.post("/register", FORM))
    assert "Слишком простой пароль" in visible(await shop.post("/register", FORM, accept_language="ru"))


async def test_signing_in_takes_the_guests_cart_along_and_goes_back(shop: Shop) -> None:
    answer = await shop.post("/sign-in", {"email": "a@b.cc", "password": " spaces stay ", "next": "/checkout"}, cookie=f"cart={CART_ID}")
    assert (answer.status, answer.headers["location"]) == (303, "/checkout")
    asked = shop.told(SignIn)[-1]
    assert (asked.guest_cart_id, asked.password) == (CART_ID, " spaces stay ")


async def test_wrong_password_is_refused_without_saying_which_half_was_wrong(shop: Shop) -> None:
    def refuse(_: object) -> None:
        raise Unauthenticated("session.bad_credentials", "wrong")

    shop.answers(SignIn, refuse)
    answer = await shop.post("/sign-in", {"email": "a@b.cc", "password": "x"})
    assert answer.status == 401
    assert "The e-mail address or the password is wrong." in visible(answer)


async def test_session_cookies_are_out_of_reach_for_scripts_and_for_plain_http(tmp_path: Path) -> None:
    async with open_shop(tmp_path, "https://torg.example") as shop:
        answer = await shop.post("/sign-in", {"email": "a@b.cc", "password": "x"})
        for cookie in cookies(answer):
            assert "HttpOnly" in cookie
            assert "SameSite=Lax" in cookie
            assert "Secure" in cookie
            assert cookie.startswith("__Host-")
        assert "max-age" in (await shop.get("/")).headers["strict-transport-security"]


async def test_member_only_page_sends_to_sign_in_and_back(shop: Shop) -> None:
    answer = await shop.get("/orders?status=paid")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in?next=%2Forders%3Fstatus%3Dpaid")


async def test_session_that_ran_out_is_carried_on_without_a_word(shop: Shop) -> None:
    answer = await shop.get("/orders", cookie="session=old; refresh=refresh-1")
    assert answer.status == 200
    assert shop.told(RefreshSession) == [RefreshSession("refresh-1")]
    assert any(TOKENS.refresh_token in cookie for cookie in cookies(answer))


async def test_two_tabs_that_wake_up_together_use_a_refresh_token_once(shop: Shop) -> None:
    answers = await asyncio.gather(*(shop.get("/orders", cookie="session=old; refresh=refresh-1") for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert len(shop.told(RefreshSession)) == 1


async def test_refresh_token_that_buys_nothing_is_forgotten(shop: Shop) -> None:
    def refuse(_: object) -> None:
        raise Unauthenticated("session.bad_refresh_token", "used before")

    shop.answers(RefreshSession, refuse)
    answer = await shop.get("/cart", cookie="session=old; refresh=stolen")
    assert answer.status == 200
    assert any(cookie.startswith("refresh=;") and "Max-Age=0" in cookie for cookie in cookies(answer))


async def test_signing_out_ends_the_session_and_drops_its_cookies(shop: Shop) -> None:
    answer = await shop.post("/sign-out", {}, member=True)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert len(shop.told(SignOut)) == 1
    assert (await shop.post("/sign-out", {})).status == 303


async def test_renewal_that_failed_for_now_is_tried_again(shop: Shop) -> None:
    tried = 0

    def away_at_first(_: object) -> object:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise Unavailable("the store is away")
        return TOKENS

    shop.answers(RefreshSession, away_at_first)
    assert (await shop.get("/cart", cookie="refresh=old")).status == 503
    assert (await shop.get("/cart", cookie="refresh=old")).status == 200


async def test_renewals_of_tokens_that_buy_nothing_are_not_remembered() -> None:
    def refuse(_: object) -> Tokens:
        raise Unauthenticated("session.bad_refresh_token", "unknown")

    renewals = MemoryRenewals(answering({RefreshSession: refuse}), TestClock())
    for number in range(100):
        with pytest.raises(Unauthenticated):
            await renewals.renew(f"guess-{number}")
    assert len(renewals._bought) == 0


async def test_forms_without_their_token_are_refused_with_a_page_that_says_what_to_do(shop: Shop) -> None:
    for token in ("", "0" * 64, shop.form_token(None)):
        refused = await shop.post("/profile/password", {"form_token": token, "current_password": "a", "new_password": "b"}, member=True)
        assert refused.status == 403
        assert "Open the page anew" in visible(refused)
    assert shop.told(ChangePassword) == []
    foreign = {"content_type": "application/x-www-form-urlencoded", "sec_fetch_site": "same-origin"}
    stranger = await ask(shop.app, "POST", "/sign-in", raw=b"email=a%40b.cc&password=x", **foreign)
    assert stranger.status == 403, "nobody is signed in as somebody else by a form that they were not shown"
    assert shop.told(SignIn) == []


async def test_a_page_that_was_kept_for_every_guest_fills_a_guests_cart(shop: Shop) -> None:
    page = (await shop.get("/products/milk")).body.decode()
    token = re.findall(r'name="form_token" value="(\w+)"', page)[0]
    answer = await shop.post("/cart/items", {"form_token": token, "product_id": "milk", "quantity": "1"})
    assert answer.status == 303


async def test_no_form_of_any_page_lacks_its_token(shop: Shop) -> None:
    for path in ("/", "/cart", "/profile", "/checkout", "/notifications", "/products/milk", "/wallet"):
        page = (await shop.get(path, member=True)).body.decode()
        forms = re.findall(r'<form[^>]* method="post"[^>]*>(.{0,120})', page)
        assert forms, path
        assert all(f'<input type="hidden" name="form_token" value="{shop.form_token(ANNA)}">' in form for form in forms), path


async def test_one_session_is_ended_from_the_profile(shop: Shop) -> None:
    other = msgspec.structs.replace(SESSION, id="session-2", device="Safari, iPhone", current=False)
    shop.answers(ListSessions, lambda _: Sessions((SESSION, other)))
    page = (await shop.get("/profile", member=True)).body.decode()
    assert "/profile/sessions/session-2/end" in page
    assert "/profile/sessions/session-1/end" not in page, "the current one is signed out of"
    answer = await shop.post("/profile/sessions/session-2/end", {}, member=True)
    assert (answer.status, answer.headers["location"]) == (303, "/profile#sessions")
    assert [cmd.session_id for cmd in shop.told(EndSession)] == ["session-2"]
