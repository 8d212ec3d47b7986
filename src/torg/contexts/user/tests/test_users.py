"""Accounts: registration, profile, addresses, roles, export, erasure."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from torg.contexts.order.contracts import ListOrders, OrderPage
from torg.contexts.payment.contracts import GetBalance, ListPayments, PaymentPage, PaymentView
from torg.contexts.user import contracts as c
from torg.contexts.user.model import accounts, attempts
from torg.contexts.user.tests.house import GOOD, House, open_house
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, Invalid, NotFound, PreconditionFailed, Unauthenticated
from torg.kit.testing import START, all_text
from torg.kit.testing.http import ask
from torg.kit.values import Language, Money

API = "/api/v1"


def home(holder: Identity, street: str = "Tverskaya 1", is_default: bool = False) -> c.AddAddress:
    return c.AddAddress(holder=holder, city="Moscow", street=street, postcode="125009", is_default=is_default)


def bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("user.db*"))


async def test_an_email_address_is_taken_once_whatever_its_case(house: House) -> None:
    outcomes = await asyncio.gather(*(house.register(email) for email in ("a@b.example", "A@b.example", "a@B.example")), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["DomainError", "DomainError", "User"]
    assert {outcome.code for outcome in outcomes if isinstance(outcome, DomainError)} == {"user.email_taken"}


async def test_registration_tells_everyone_how_to_reach_them(house: House) -> None:
    user = await house.do(c.RegisterUser(email="a@b.example", password=GOOD, full_name=" Анна ", city="Москва", language=Language.RU))
    row, *_ = await house.deps.store.log.stream(user.id)
    assert row.message == c.UserRegistered(user_id=user.id, email="a@b.example", full_name="Анна", city="Москва", language=Language.RU, at=user.created_at)
    assert await house.do(c.GetContact(user.id)) == c.Contact(user.id, "Анна", "a@b.example", "Москва", Language.RU)


async def test_a_password_never_reaches_the_database(house: House, tmp_path: Path) -> None:
    await house.register()
    await house.sign_in()
    stored = bytes_of(tmp_path) + str(await all_text(house.deps.store.database)).encode()
    assert GOOD.encode() not in stored
    assert b"$argon2id$" in stored


async def test_the_profile_shows_the_wallet_or_null_while_it_is_away(tmp_path: Path) -> None:
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    async with open_house(tmp_path / "with", {GetBalance: lambda _: Money(500, "RUB")}) as house:
        await house.register()
        profile = await house.do(c.GetProfile(await house.holder(await house.sign_in())))
        assert profile.balance == Money(500, "RUB")
    async with open_house(tmp_path / "without") as house:
        await house.register()
        profile = await house.do(c.GetProfile(await house.holder(await house.sign_in())))
        assert (profile.balance, profile.full_name) == (None, "Anna Petrova")


async def test_a_profile_changes_where_it_is_told_to_and_only_from_what_was_read(house: House) -> None:
    user = await house.register()
    me = await house.holder(await house.sign_in())
    tag = accounts.profile_tag(user)
    changed = await house.do(c.ChangeProfile(holder=me, if_match=tag, city="Kazan", birth_date=date(1990, 5, 17)))
    assert (changed.city, changed.birth_date, changed.full_name) == ("Kazan", date(1990, 5, 17), "Anna Petrova")
    with pytest.raises(PreconditionFailed):
        await house.do(c.ChangeProfile(holder=me, if_match=tag, city="Perm"))
    cleared = await house.do(c.ChangeProfile(holder=me, birth_date=None))
    assert (cleared.birth_date, cleared.city) == (None, "Kazan")


async def test_nobody_takes_over_an_address_that_is_in_use(house: House) -> None:
    await house.register("boris@example.com")
    await house.register()
    me = await house.holder(await house.sign_in())
    with pytest.raises(DomainError, match="there is an account"):
        await house.do(c.ChangeProfile(holder=me, email="BORIS@example.com"))
    assert (await house.do(c.GetProfile(me))).email == "anna@example.com"


async def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    await house.register()
    here, there = await house.sign_in(), await house.sign_in()
    me = await house.holder(here)
    with pytest.raises(Invalid):
        await house.do(c.ChangePassword(holder=me, current_password="wrong-password-1", new_password="Brand-new-4321"))
    await house.do(c.ChangePassword(holder=me, current_password=GOOD, new_password="Brand-new-4321"))
    await house.holder(here)
    assert await house.do(c.Authenticate(there.access_token)) is None
    with pytest.raises(Unauthenticated):
        await house.sign_in()
    await house.sign_in(password="Brand-new-4321")


async def test_one_address_is_the_default_whatever_happens_to_it(house: House) -> None:
    await house.register()
    me = await house.holder(await house.sign_in())
    first, second = await house.do(home(me)), await house.do(home(me, "Arbat 2"))
    assert (first.is_default, second.is_default) == (True, False)
    third = await house.do(home(me, "Sadovaya 3", is_default=True))
    assert [a.id for a in (await house.do(c.ListAddresses(me))).items] == [third.id, first.id, second.id]
    await house.do(c.RemoveAddress(me, third.id))
    assert [(a.id, a.is_default) for a in (await house.do(c.ListAddresses(me))).items] == [(first.id, True), (second.id, False)]
    await house.do(c.ChangeAddress(holder=me, address_id=second.id, city="Kazan", street="Baumana 5", postcode="420111", is_default=True))
    assert await house.do(c.GetAddress(me.user_id, second.id)) == c.Address(city="Kazan", street="Baumana 5", postcode="420111")
    assert [a.is_default for a in (await house.do(c.ListAddresses(me))).items] == [True, False]


async def test_another_persons_address_does_not_exist(house: House) -> None:
    await house.register()
    await house.register("thief@example.com")
    me, thief = await house.holder(await house.sign_in()), await house.holder(await house.sign_in("thief@example.com"))
    mine = await house.do(home(me))
    attempts: list[Any] = [
        c.GetAddress(thief.user_id, mine.id), c.RemoveAddress(thief, mine.id),
        c.ChangeAddress(holder=thief, address_id=mine.id, city="X", street="Y", postcode="1"),
    ]  # fmt: skip
    for attempt in attempts:
        with pytest.raises(NotFound):
            await house.do(attempt)


async def test_roles_change_at_once_and_the_last_administrator_stays(house: House) -> None:
    admin = await house.do(c.EnsureUser(email="admin@torg.example", password=GOOD, full_name="Admin", roles=(Role.ADMIN,)))
    user = await house.register()
    tokens = await house.sign_in()
    assert not (await house.holder(tokens)).is_one_of(frozenset({Role.SUPPORT}))
    await house.do(c.GrantRoles(user_id=user.id, roles=(Role.SUPPORT, Role.CUSTOMER)))
    assert (await house.holder(tokens)).is_one_of(frozenset({Role.SUPPORT}))
    with pytest.raises(DomainError, match="somebody has to be an administrator"):
        await house.do(c.GrantRoles(user_id=admin.id, roles=(Role.CUSTOMER,)))
    await house.do(c.GrantRoles(user_id=user.id, roles=(Role.ADMIN,)))
    await house.do(c.GrantRoles(user_id=admin.id, roles=(Role.CUSTOMER,)))


async def test_ensuring_a_user_twice_changes_nothing(house: House) -> None:
    wanted = c.EnsureUser(email="buyer@torg.example", password="weak", full_name="Buyer", city="Moscow", roles=(Role.CUSTOMER,))
    first = await house.do(wanted)
    head = await house.deps.store.log.head()
    tokens = await house.sign_in("buyer@torg.example", "weak")
    assert await house.do(wanted) == first
    assert await house.deps.store.log.head() == head
    await house.holder(tokens)


async def test_a_user_without_a_password_cannot_sign_in(house: House) -> None:
    await house.do(c.EnsureUser(email="household-1@torg.example", password="", full_name="Household 1"))
    for password in ("", "!", "anything-at-all"):
        with pytest.raises(Unauthenticated):
            await house.sign_in("household-1@torg.example", password)


async def test_staff_pages_through_users_by_the_beginning_of_an_address(house: House) -> None:
    for n in range(5):
        house.clock.advance(seconds=1)
        await house.register(f"anna{n}@example.com")
    await house.register("boris@example.com")
    first = await house.do(c.ListUsers(query="ANNA", limit=3))
    rest = await house.do(c.ListUsers(query="anna", limit=3, cursor=first.next_cursor))
    assert [user.email for user in (*first.items, *rest.items)] == [f"anna{n}@example.com" for n in (4, 3, 2, 1, 0)]
    assert rest.next_cursor is None
    for stranger in ("anna%", "anna_@", "\\", "nna"):
        assert (await house.do(c.ListUsers(query=stranger))).items == ()
    with pytest.raises(Invalid):
        await house.do(c.ListUsers(cursor="nonsense"))


async def test_an_export_holds_everything_of_all_pages_and_says_what_is_missing(tmp_path: Path) -> None:
    asked: list[ListPayments] = []

    def payments(query: ListPayments) -> PaymentPage:
        asked.append(query)
        number = len(asked)
        paid = PaymentView(
            id=f"pay-{number}", order_id="o", amount=Money(1, "RUB"), status="captured", method="card", created_date=START, refunded=Money(0, "RUB")
        )
        return PaymentPage((paid,), "next" if number == 1 else None)

    async with open_house(tmp_path, {ListOrders: lambda query: OrderPage((), None), ListPayments: payments}) as house:
        await house.register()
        me = await house.holder(await house.sign_in())
        await house.do(home(me))
        data = await house.do(c.ExportMyData(msgspec.structs.replace(me, roles=frozenset({Role.ADMIN}))))
    assert (data.profile.email, len(data.addresses), len(data.sessions), data.orders) == ("anna@example.com", 1, 1, ())
    assert [msgspec.json.decode(payment)["id"] for payment in data.payments] == ["pay-1", "pay-2"]
    assert [(query.viewer.roles, query.cursor) for query in asked] == [(frozenset({Role.CUSTOMER}), ""), (frozenset({Role.CUSTOMER}), "next")]
    assert data.missing == ("cart", "wallet", "deliveries", "reviews", "notifications", "balance")
    assert msgspec.json.decode(msgspec.json.encode(data), type=c.PersonalData) == data


async def test_erasure_leaves_nothing_personal_and_frees_the_address(house: House, tmp_path: Path) -> None:
    user = await house.register()
    tokens = await house.sign_in()
    me = await house.holder(tokens)
    await house.do(home(me))
    await house.do(c.ChangeProfile(holder=me, full_name="Anna Sidorova"))
    await house.do(c.EraseMe(me))
    assert await house.do(c.Authenticate(tokens.access_token)) is None
    with pytest.raises(Unauthenticated):
        await house.sign_in()
    with pytest.raises(NotFound):
        await house.do(c.GetContact(user.id))
    events = [row.message for row in await house.deps.store.log.stream(user.id)]
    assert events[-1] == c.UserErased(user.id)
    everything = repr((await all_text(house.deps.store.database), events, await house.deps.store.log.tail(0, 100)))
    assert [word for word in ("Anna", "anna@", "Moscow", "Tverskaya") if word in everything] == []
    assert (await house.register()).id != user.id


# ---------------------------------------------------------------- over HTTP


async def test_registration_names_every_bad_field_at_once(house: House) -> None:
    reply = await ask(house.app, "POST", f"{API}/users", {"email": "nope", "password": "short", "full_name": "", "birth_date": "2990-01-01", "role": "admin"})
    assert reply.status == 422
    assert {error["field"] for error in reply.json["errors"]} == {"email", "password", "full_name", "birth_date", "role"}


async def test_a_visit_over_http(house: House) -> None:
    body = {"email": "anna@example.com", "password": GOOD, "full_name": "Anna", "birth_date": "1990-05-17"}
    made = await ask(house.app, "POST", f"{API}/users", body, accept_language="ru-RU,ru;q=0.9")
    assert (made.status, made.json["roles"], "password" in made.json) == (201, ["customer"], False)
    assert (await house.do(c.GetContact(made.json["id"]))).language == Language.RU
    pair = await ask(house.app, "POST", f"{API}/sessions", {"email": "anna@example.com", "password": GOOD})
    assert (pair.status, pair.json["token_type"], pair.headers["cache-control"]) == (201, "Bearer", "no-store")
    token = f"Bearer {pair.json['access_token']}"
    profile = await ask(house.app, "GET", f"{API}/users/me", authorization=token)
    assert set(profile.json) == {
        "id", "email", "email_confirmed", "new_email", "full_name", "city", "birth_date", "balance", "roles", "created_at", "duties",
    }  # fmt: skip
    stale = await ask(house.app, "PATCH", f"{API}/users/me", {"city": "Kazan"}, authorization=token, if_match='"other"')
    fresh = await ask(house.app, "PATCH", f"{API}/users/me", {"city": "Kazan"}, authorization=token, if_match=profile.headers["etag"])
    assert (stale.status, fresh.status, fresh.json["city"]) == (412, 200, "Kazan")
    assert (await ask(house.app, "PATCH", f"{API}/users/me", {"roles": ["admin"]}, authorization=token)).status == 422
    assert (await ask(house.app, "GET", f"{API}/admin/users", authorization=token)).status == 403
    assert (await ask(house.app, "DELETE", f"{API}/sessions/current", authorization=token)).status == 204
    assert (await ask(house.app, "GET", f"{API}/users/me", authorization=token)).status == 401


async def test_a_guesser_is_told_how_long_to_wait(house: House) -> None:
    guess = {"email": "anna@example.com", "password": "wrong-guess-1"}
    replies = [await ask(house.app, "POST", f"{API}/sessions", guess) for _ in range(attempts.FREE_FAILURES + 1)]
    assert [reply.status for reply in replies] == [401] * attempts.FREE_FAILURES + [429]
    assert replies[-1].headers["retry-after"] == "1"
