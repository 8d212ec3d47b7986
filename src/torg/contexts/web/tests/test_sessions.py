"""Signing in by a form, staying signed in, and leaving."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from torg.contexts.user.contracts import RefreshSession, RegisterUser, SignIn, SignOut, Tokens
from torg.contexts.web.adapters.renewals_memory import MemoryRenewals
from torg.contexts.web.tests.house import CART_ID, TOKENS, Shop, open_shop, visible
from torg.kit.errors import DomainError, FieldError, Invalid, Unauthenticated, Unavailable
from torg.kit.testing import TestClock, answering
from torg.kit.testing.http import Answer

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
