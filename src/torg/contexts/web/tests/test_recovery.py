"""The pages that letters lead to."""

from __future__ import annotations

import msgspec

from torg.contexts.user.contracts import ConfirmEmail, GetProfile, RequestReset, ResetPassword, SendConfirmation
from torg.contexts.web.tests.house import PROFILE, Shop, visible
from torg.kit.errors import DomainError


async def test_a_link_is_asked_for_and_the_page_says_the_same_to_everybody(shop: Shop) -> None:
    assert "/forgot-password" in (await shop.get("/sign-in")).body.decode()
    answer = await shop.post("/forgot-password", {"email": "a@b.cc"})
    assert (answer.status, "If there is an account" in visible(answer)) == (200, True)
    assert [cmd.email for cmd in shop.told(RequestReset)] == ["a@b.cc"]


async def test_a_new_password_is_set_with_the_letters_link(shop: Shop) -> None:
    page = (await shop.get("/reset-password?token=t0k%22en")).body.decode()
    assert 'value="t0k&#34;en"' in page
    answer = await shop.post("/reset-password", {"token": "t0ken", "new_password": " four words "})
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
    assert shop.told(ResetPassword) == [ResetPassword(token="t0ken", new_password=" four words ")]

    def refuse(_: object) -> None:
        raise DomainError("user.bad_link", "too old")

    shop.answers(ResetPassword, refuse)
    refused = await shop.post("/reset-password", {"token": "t0ken", "new_password": "four words in a row"}, accept_language="ru")
    assert (refused.status, "Ссылка устарела" in visible(refused)) == (409, True)


async def test_an_address_is_confirmed_by_a_button_and_not_by_looking_at_the_page(shop: Shop) -> None:
    assert (await shop.get("/confirm-email?token=t0ken")).status == 200
    assert shop.told(ConfirmEmail) == []
    assert (await shop.post("/confirm-email", {"token": "t0ken"})).status == 303
    assert shop.told(ConfirmEmail) == [ConfirmEmail("t0ken")]


async def test_the_profile_says_what_is_to_be_confirmed(shop: Shop) -> None:
    assert "whether our letters come to anna@example.com" in visible(await shop.get("/profile", member=True))
    wanted = msgspec.structs.replace(PROFILE, email_confirmed=True, new_email="anna@new.example")
    shop.answers(GetProfile, lambda _: wanted)
    assert "anna@new.example" in visible(await shop.get("/profile", member=True))
    assert (await shop.post("/profile/confirmation", {}, member=True)).status == 303
    assert len(shop.told(SendConfirmation)) == 1
    shop.answers(GetProfile, lambda _: msgspec.structs.replace(PROFILE, email_confirmed=True))
    assert 'id="confirmation"' not in (await shop.get("/profile", member=True)).body.decode()
