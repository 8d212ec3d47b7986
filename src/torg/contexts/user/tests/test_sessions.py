"""Signing in, staying signed in, and being signed out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torg.contexts.cart.contracts import MergeCarts
from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.attempts_memory import MemoryAttempts
from torg.contexts.user.adapters.hashing_argon2 import Argon2Passwords
from torg.contexts.user.model import attempts
from torg.contexts.user.model.accounts import UNUSABLE
from torg.contexts.user.ports import Passwords
from torg.contexts.user.tests.house import CHEAP_KIB, GOOD, House, open_house
from torg.kit.auth import Role
from torg.kit.errors import NotFound, Overloaded, TooManyRequests, Unauthenticated


async def test_a_token_names_its_holder_until_it_expires(house: House) -> None:
    user = await house.register()
    tokens = await house.sign_in("ANNA@example.com")
    identity = await house.holder(tokens)
    assert (identity.user_id, identity.roles) == (user.id, frozenset({Role.CUSTOMER}))
    house.clock.advance(seconds=tokens.expires_in - 1)
    await house.holder(tokens)
    house.clock.advance(seconds=1)
    assert await house.do(c.Authenticate(tokens.access_token)) is None
    assert await house.do(c.Authenticate("invented")) is None


async def test_signing_out_kills_the_token_at_once_and_no_other(house: House) -> None:
    await house.register()
    here, there = await house.sign_in(), await house.sign_in()
    await house.do(c.SignOut(await house.holder(here)))
    assert await house.do(c.Authenticate(here.access_token)) is None
    await house.holder(there)
    with pytest.raises(Unauthenticated):
        await house.do(c.RefreshSession(here.refresh_token))


async def test_a_session_ended_by_another_process_dies_within_seconds(sql_house: House) -> None:
    await sql_house.register()
    tokens = await sql_house.sign_in()
    await sql_house.holder(tokens)
    async with sql_house.deps.transaction() as tx:
        await tx.execute("delete from session")
    sql_house.clock.advance(seconds=5)
    assert await sql_house.do(c.Authenticate(tokens.access_token)) is None


async def test_wrong_password_and_unknown_address_are_told_alike(house: House) -> None:
    await house.register()
    refusals = []
    for email in ("anna@example.com", "nobody@example.com"):
        with pytest.raises(Unauthenticated) as refusal:
            await house.sign_in(email, "wrong-password-1")
        refusals.append((refusal.value.code, refusal.value.detail))
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == "session.bad_credentials"


async def test_a_refresh_token_buys_one_new_pair(house: House) -> None:
    await house.register()
    first = await house.sign_in()
    second = await house.do(c.RefreshSession(first.refresh_token))
    assert await house.do(c.Authenticate(first.access_token)) is None
    assert (await house.holder(second)).user_id
    third = await house.do(c.RefreshSession(second.refresh_token))
    await house.holder(third)


async def test_a_reused_refresh_token_ends_the_whole_family(house: House) -> None:
    user = await house.register()
    first, elsewhere = await house.sign_in(), await house.sign_in()
    second = await house.do(c.RefreshSession(first.refresh_token))
    third = await house.do(c.RefreshSession(second.refresh_token))
    await house.holder(third)
    with pytest.raises(Unauthenticated):
        await house.do(c.RefreshSession(first.refresh_token))
    assert await house.do(c.Authenticate(third.access_token)) is None
    with pytest.raises(Unauthenticated):
        await house.do(c.RefreshSession(third.refresh_token))
    await house.holder(elsewhere)
    assert "user.token_reused" in await house.log_of(user.id)


async def test_two_refreshes_with_one_token_never_both_succeed(house: House) -> None:
    await house.register()
    tokens = await house.sign_in()
    outcomes = await asyncio.gather(*(house.do(c.RefreshSession(tokens.refresh_token)) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(outcome, c.Tokens) for outcome in outcomes) == 1


async def test_a_refresh_token_lives_for_thirty_days(house: House) -> None:
    await house.register()
    kept, late = await house.sign_in(), await house.sign_in()
    house.clock.advance(days=29)
    await house.do(c.RefreshSession(kept.refresh_token))
    house.clock.advance(days=1)
    with pytest.raises(Unauthenticated):
        await house.do(c.RefreshSession(late.refresh_token))


async def test_a_session_that_is_used_every_day_ends_after_half_a_year(house: House) -> None:
    await house.register()
    tokens, weeks = await house.sign_in(), 0
    while weeks < 60:
        house.clock.advance(days=7)
        try:
            tokens = await house.do(c.RefreshSession(tokens.refresh_token))
        except Unauthenticated:
            break
        weeks += 1
    assert weeks == 25, "half a year has 26 weeks"
    await house.sign_in()


async def test_guessing_has_to_wait_longer_each_time_and_others_do_not(house: House) -> None:
    await house.register()
    await house.register("boris@example.com")
    waits = []
    for _ in range(attempts.FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            await house.sign_in(password="wrong-guess-1")
    for _ in range(3):
        with pytest.raises(TooManyRequests) as refusal:
            await house.sign_in()  # even with the right password
        waits.append(refusal.value.retry_after)
        house.clock.advance(seconds=refusal.value.retry_after)
        with pytest.raises(Unauthenticated):
            await house.sign_in(password="wrong-guess-1")
    assert waits == [1, 2, 4]
    await house.sign_in("boris@example.com")
    await house.sign_in(address="10.9.9.9")
    house.clock.advance(minutes=16)
    await house.sign_in()


async def test_addresses_that_none_can_have_fill_no_memory(sql_house: House) -> None:
    for n in range(5):
        with pytest.raises(Unauthenticated):
            await sql_house.sign_in(email=f"{n}{'x' * 900_000}@example.com", password="wrong-guess-1")
    assert isinstance(sql_house.deps.attempts, MemoryAttempts)
    assert sum(len(key) for key in sql_house.deps.attempts._counts) < 10_000


async def test_guesses_sent_all_at_once_gain_nothing(house: House) -> None:
    await house.register()
    together = _LookedAtTogether(house.deps.passwords, 41)
    house.deps = replace(house.deps, passwords=together)
    wrong = [asyncio.create_task(house.sign_in(password=f"wrong-guess-{n}")) for n in range(40)]
    right = asyncio.create_task(house.sign_in())
    refusals = [task.exception() for task in (await asyncio.wait(wrong))[0]]
    together.right_may_go_on.set()
    assert sum(isinstance(refusal, Unauthenticated) for refusal in refusals) <= attempts.FREE_FAILURES + 2
    with pytest.raises(TooManyRequests):
        await right


class _LookedAtTogether:
    """Passwords that are looked at when as many have been sent; it finds the right one last."""

    def __init__(self, inner: Passwords, awaited: int) -> None:
        self._inner, self._all_sent = inner, asyncio.Barrier(awaited)
        self.right_may_go_on = asyncio.Event()
        self.hash, self.is_outdated = inner.hash, inner.is_outdated

    async def verify(self, hashed: str, password: str, address: str = "", known: bool = False) -> bool:
        await self._all_sent.wait()
        right = await self._inner.verify(hashed, password, address, known)
        if right:
            await self.right_may_go_on.wait()
        return right


async def test_an_account_under_attack_from_everywhere_stays_open_to_its_owner(house: House) -> None:
    await house.register()
    await house.sign_in(address="10.0.0.1")
    for n in range(attempts.FREE_ACCOUNT_FAILURES):
        with pytest.raises(Unauthenticated):
            await house.sign_in(password="wrong-guess-1", address=f"172.16.0.{n}")
    with pytest.raises(TooManyRequests):
        await house.sign_in(address="172.17.0.1")
    await house.sign_in(address="10.0.0.1")


async def test_right_passwords_never_count(house: House) -> None:
    await house.register()
    for _ in range(3 * attempts.FREE_FAILURES):
        await house.sign_in()


async def test_a_guests_cart_is_merged_and_a_broken_cart_keeps_nobody_out(tmp_path: Path) -> None:
    asked: list[MergeCarts] = []

    def merge(cmd: MergeCarts) -> None:
        asked.append(cmd)
        if cmd.guest_cart_id == "broken":
            raise ZeroDivisionError

    async with open_house(tmp_path, {MergeCarts: merge}) as house:
        user = await house.register()
        await house.sign_in(cart="cart-1")
        await house.sign_in(cart="broken")
        await house.sign_in()
    assert asked == [MergeCarts(guest_cart_id="cart-1", user_id=user.id), MergeCarts(guest_cart_id="broken", user_id=user.id)]


async def test_an_old_hash_is_renewed_at_sign_in(house: House) -> None:
    user = await house.register()
    dearer = Argon2Passwords(CHEAP_KIB * 2)
    before = await house.deps.users.find(user.id)
    assert before is not None
    async with house.deps.transaction() as tx:
        await tx.execute("update users set password_hash = :hash", hash=await dearer.hash(GOOD))
    await house.sign_in()
    after = await house.deps.users.find(user.id)
    assert after is not None
    assert not house.deps.passwords.is_outdated(after.password_hash)
    await house.sign_in()
    await dearer.close()


async def test_more_hashing_than_can_be_done_soon_is_refused() -> None:
    passwords = Argon2Passwords(CHEAP_KIB, waiting=3, threads=2)
    outcomes = await asyncio.gather(*(passwords.hash(GOOD) for _ in range(5)), return_exceptions=True)
    assert [isinstance(outcome, Overloaded) for outcome in outcomes] == [False] * 5
    outcomes = await asyncio.gather(*(passwords.hash(GOOD) for _ in range(7)), return_exceptions=True)
    assert sum(isinstance(outcome, Overloaded) for outcome in outcomes) == 2, "two are at work, three wait"
    assert await passwords.verify(await passwords.hash(GOOD), GOOD)
    await passwords.close()


class OneByOne(Executor):
    """Threads that do one thing at a time, when they are told to."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._waiting.append(lambda: future.set_result(work(*arguments, **more)))
        return future

    async def work(self, on: Sequence[asyncio.Future[None]]) -> None:
        while not all(one.done() for one in on):
            if self._waiting:
                self._waiting.pop(0)()
            await asyncio.sleep(0.001)


async def test_under_a_flood_of_guesses_people_go_before_those_who_guess() -> None:
    passwords, threads, done = Argon2Passwords(CHEAP_KIB, waiting=3, threads=2), OneByOne(), list[str]()
    right = await passwords.hash(GOOD)
    for _ in range(3):
        assert not await passwords.verify(UNUSABLE, "a guess", "6.6.6.6")
    await passwords.close()
    passwords._threads = threads  # type: ignore[assignment]

    async def try_it(name: str, address: str, known: bool = False) -> None:
        try:
            await passwords.verify(right, GOOD, address, known)
            done.append(name)
        except Overloaded:
            done.append(f"{name} gave way")

    tries = [asyncio.ensure_future(try_it("at work", "1.1.1.1", True)) for _ in range(2)]
    tries += [asyncio.ensure_future(try_it("guess", "6.6.6.6")) for _ in range(3)]
    await asyncio.sleep(0)
    tries += [asyncio.ensure_future(try_it(name, *where)) for name, where in {"new here": ("2.2.2.2", False), "at home": ("3.3.3.3", True)}.items()]
    await asyncio.sleep(0.001)
    await threads.work(tries)
    await asyncio.gather(*tries)
    assert done == ["guess gave way", "at work", "at work", "at home", "new here", "guess", "guess"]


async def test_who_goes_away_while_waiting_leaves_the_turn_to_others() -> None:
    passwords = Argon2Passwords(CHEAP_KIB, threads=2)
    trying = [asyncio.ensure_future(passwords.hash(GOOD)) for _ in range(12)]
    await asyncio.sleep(0)
    for one in trying[1:9]:
        one.cancel()
    await asyncio.gather(*trying, return_exceptions=True)
    async with asyncio.timeout(60):
        await asyncio.gather(*(passwords.hash(GOOD) for _ in range(6)))
    await asyncio.sleep(0)
    assert passwords._free == 2
    await passwords.close()


async def test_expired_sessions_are_dropped(house: House) -> None:
    user = await house.register()
    tokens = await house.sign_in()
    await house.do(c.RefreshSession(tokens.refresh_token))
    house.clock.advance(days=31)
    await house.sign_in()
    async with house.deps.transaction() as tx:
        await house.deps.sessions.drop_expired(tx, house.clock())
    assert len(await house.deps.sessions.of(user.id)) == 1
    assert await house.deps.store.database.value("select count(*) from spent_token") == 0


async def test_people_see_where_they_are_signed_in_and_end_one_of_them(house: House):
    await house.register()
    await house.register("boris@example.com")
    linux = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
    phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
    given: dict[str, Any] = {"email": "anna@example.com", "password": GOOD}
    first = await house.do(c.SignIn(**given, device=linux, address="10.0.0.1"))
    house.clock.advance(seconds=60)
    second = await house.do(c.SignIn(**given, device=phone, address="10.0.0.2"))
    anna, boris = await house.holder(first), await house.holder(await house.sign_in("boris@example.com"))
    shown = (await house.do(c.ListSessions(anna))).items
    assert [(one.device, one.address, one.current) for one in shown] == [("Firefox, Linux", "10.0.0.1", True), ("Safari, iPhone", "10.0.0.2", False)]
    for not_ones_own in (boris.session_id, "none"):
        with pytest.raises(NotFound):
            await house.do(c.EndSession(anna, not_ones_own))
    await house.do(c.EndSession(anna, shown[1].id))
    assert await house.do(c.Authenticate(second.access_token)) is None
    assert [one.id for one in (await house.do(c.ListSessions(anna))).items] == [anna.session_id]
    with pytest.raises(Unauthenticated):
        await house.do(c.RefreshSession(second.refresh_token))
