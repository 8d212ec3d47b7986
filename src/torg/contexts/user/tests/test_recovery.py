"""Confirming addresses, and new passwords for who has forgotten theirs: by links that letters carry."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.recovery import send_resets
from torg.contexts.user.ports import Passwords
from torg.contexts.user.tests.house import GOOD, House
from torg.kit.errors import DomainError, Invalid, TooManyRequests, Unauthenticated

NEW = "Another-9876-and-longer"


def token(link: c.Link) -> str:
    return link.path.partition("token=")[2]


async def asked_for_reset(house: House, user_id: str) -> str:
    await house.do(c.RequestReset(email="anna@example.com", address="10.0.0.1"))
    await send_resets(house.deps)
    return token(await house.link_of(user_id, "reset"))


async def test_an_address_is_confirmed_by_the_link_in_its_letter_once(house: House):
    anna = await house.register()
    assert not anna.email_confirmed
    link = await house.link_of(anna.id, "confirm")
    await house.do(c.ConfirmEmail(token(link)))
    me = await house.holder(await house.sign_in())
    assert (await house.do(c.GetProfile(me))).email_confirmed
    for bad in (token(link), "made-up", ""):
        with pytest.raises(DomainError, match="unknown, was used before"):
            await house.do(c.ConfirmEmail(bad))
    with pytest.raises(DomainError, match="confirmed already"):
        await house.do(c.SendConfirmation(me))


async def test_a_link_is_kept_as_a_hash_and_told_only_sealed(house: House):
    anna = await house.register()
    secret = token(await house.link_of(anna.id, "confirm"))
    assert len(secret) == 43, "256 bits"
    for table in ("log", "users", "one_time_link", "session", "answer"):
        rows = await house.deps.store.database.all(f"select * from {table}")
        assert rows or table in ("session", "answer"), table
        assert secret not in str([dict(row) for row in rows]), table


async def test_a_new_address_counts_once_it_is_confirmed_and_the_old_one_is_told(house: House):
    anna = await house.register()
    await house.do(c.ConfirmEmail(token(await house.link_of(anna.id, "confirm"))))
    me = await house.holder(await house.sign_in())
    profile = await house.do(c.ChangeProfile(holder=me, email="anna@new.example", city="Perm"))
    assert (profile.email, profile.new_email, profile.city) == ("anna@example.com", "anna@new.example", "Perm")
    assert "user.email_change_asked" in await house.log_of(anna.id)
    link = await house.link_of(anna.id, "confirm")
    assert link.to == "anna@new.example"
    await house.do(c.ConfirmEmail(token(link)))
    profile = await house.do(c.GetProfile(me))
    assert (profile.email, profile.new_email, profile.email_confirmed) == ("anna@new.example", "", True)
    assert (await house.sign_in("anna@new.example")).access_token


async def test_an_address_that_somebody_else_took_meanwhile_is_not_given_twice(house: House):
    anna = await house.register()
    me = await house.holder(await house.sign_in())
    await house.do(c.ChangeProfile(holder=me, email="anna@new.example"))
    await house.register("anna@new.example")
    with pytest.raises(DomainError) as refused:
        await house.do(c.ConfirmEmail(token(await house.link_of(anna.id, "confirm"))))
    assert refused.value.code == "user.email_taken"


async def test_letters_that_confirm_are_sent_again_within_bounds(house: House):
    anna = await house.register()
    me, first = await house.holder(await house.sign_in()), await house.link_of(anna.id, "confirm")
    sent = 0
    with pytest.raises(TooManyRequests):
        for _ in range(10):
            await house.do(c.SendConfirmation(me))
            sent += 1
    assert sent == 3
    with pytest.raises(DomainError):
        await house.do(c.ConfirmEmail(token(first)))
    await house.do(c.ConfirmEmail(token(await house.link_of(anna.id, "confirm"))))


async def test_a_forgotten_password_is_replaced_by_a_link_once_and_all_sessions_end(house: House):
    anna = await house.register()
    tokens = await house.sign_in()
    secret = await asked_for_reset(house, anna.id)
    with pytest.raises(Invalid):
        await house.do(c.ResetPassword(token=secret, new_password="password1"))
    with pytest.raises(Invalid):
        await house.do(c.ResetPassword(token=secret, new_password="anna@example.com"))
    await house.do(c.ResetPassword(token=secret, new_password=NEW))
    assert await house.do(c.Authenticate(tokens.access_token)) is None
    with pytest.raises(Unauthenticated):
        await house.sign_in(password=GOOD)
    await house.sign_in(password=NEW)
    assert "user.password_changed" in await house.log_of(anna.id)
    with pytest.raises(DomainError):
        await house.do(c.ResetPassword(token=secret, new_password=GOOD))


async def test_a_link_to_a_new_password_is_good_for_half_an_hour_and_for_nothing_else(house: House):
    anna = await house.register()
    secret = await asked_for_reset(house, anna.id)
    with pytest.raises(DomainError):
        await house.do(c.ConfirmEmail(secret))
    with pytest.raises(DomainError):
        await house.do(c.ResetPassword(token=token(await house.link_of(anna.id, "confirm")), new_password=NEW))
    newer = await asked_for_reset(house, anna.id)
    with pytest.raises(DomainError):
        await house.do(c.ResetPassword(token=secret, new_password=NEW))
    house.clock.advance(minutes=30)
    with pytest.raises(DomainError):
        await house.do(c.ResetPassword(token=newer, new_password=NEW))


async def test_asking_for_an_unknown_address_does_and_answers_the_same(house: House):
    anna = await house.register()
    before = len(await house.log_of(anna.id))
    for email in ("nobody@example.com", "anna@example.com"):
        assert await house.do(c.RequestReset(email=email, address="10.0.0.9")) is None
    assert len(await house.log_of(anna.id)) == before, "nothing is written to anybody before it is answered"
    assert len(await house.deps.links.asked(10)) == 2
    await send_resets(house.deps)
    assert await house.deps.links.asked(10) == []
    assert (await house.log_of(anna.id)).count("user.link_made") == 2


async def test_whoever_asks_for_others_letters_keeps_nobody_from_their_own(house: House):
    await house.register()
    await house.sign_in(address="10.0.0.1")
    refused = 0
    for number in range(200):
        try:
            await house.do(c.RequestReset(email="anna@example.com", address=f"10.9.{number % 100}.1"))
        except TooManyRequests:
            refused += 1
    assert refused > 150
    await house.do(c.RequestReset(email="anna@example.com", address="10.0.0.1"))


async def test_erased_people_leave_no_links(house: House):
    anna = await house.register()
    me = await house.holder(await house.sign_in())
    await house.do(c.ChangeProfile(holder=me, email="secret@new.example"))
    await house.do(c.EraseMe(me))
    made = [row.message for row in await house.deps.store.log.stream(anna.id) if isinstance(row.message, c.LinkMade)]
    assert {event.sealed for event in made} == {""}
    assert await house.deps.store.database.all("select * from one_time_link") == []


async def test_a_made_up_link_has_nothing_hashed(house: House):
    class Refuses:
        async def hash(self, _: str) -> str:
            raise AssertionError("hashing costs more than all else")

    beside = House(replace(house.deps, passwords=cast(Passwords, Refuses())), house.clock)
    for made_up in ("x" * 43, ""):
        with pytest.raises(DomainError, match="unknown, was used before"):
            await beside.do(c.ResetPassword(token=made_up, new_password=NEW))
