"""Promo codes: what they take off, and that no race uses one more often than it may be."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from torg.contexts.cart import contracts as c
from torg.contexts.cart.handlers import give_back_unplaced
from torg.contexts.cart.tests.house import ANNA, BORIS, GUEST, House, usd
from torg.contexts.cart.tests.test_carts import placed, quote
from torg.contexts.order.contracts import OrderCancelled, OrderRejected
from torg.kit.auth import Identity
from torg.kit.errors import DomainError, NotFound
from torg.kit.values import Language


def rejected(order_id: str) -> OrderRejected:
    return OrderRejected(order_id=order_id, user_id=ANNA.user_id, reason="no stock")


async def refused(asking: object) -> str:
    """The code of the refusal."""
    with pytest.raises(DomainError) as error:
        await asking  # type: ignore[misc]
    return error.value.code


# ---------------------------------------------------------------- in the cart


async def test_a_share_comes_off_the_items(house: House) -> None:
    house.market.sell("1", 333)
    await house.promo("SPRING", percent=10)
    await house.put("1", 1)
    view = await house.apply("spring")
    assert (view.subtotal, view.discount, view.total) == (usd(333), usd(33), usd(300))
    assert view.promo == c.PromoState(code="SPRING", applied=True)
    quoted = await quote(house)
    assert (quoted.discount, quoted.promo_code, quoted.free_delivery) == (usd(33), "SPRING", False)


async def test_an_amount_comes_off_as_far_as_the_items_go(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("GIFT", kind="amount", amount=usd(500))
    await house.put("1")
    view = await house.apply("GIFT")
    assert (view.discount, view.total) == (usd(200), usd(0))


async def test_free_delivery_takes_nothing_off_the_items(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("POST", kind="free_delivery")
    await house.put("1")
    await house.apply("POST")
    quoted = await quote(house)
    assert (quoted.discount, quoted.free_delivery, quoted.promo_code) == (usd(0), True, "POST")


async def test_a_code_that_does_not_fit_is_refused_with_the_reason(house: House) -> None:
    house.market.sell("1", 200)
    await house.put("1")
    now = house.clock()
    await house.promo("LATER", valid_from=now + timedelta(days=1))
    await house.promo("OVER", valid_until=now)
    await house.promo("LARGE", minimum_total=usd(201))
    with pytest.raises(NotFound):
        await house.apply("NONE")
    assert await refused(house.apply("LATER")) == "promo.not_applicable"
    assert await refused(house.apply("OVER")) == "promo.expired"
    assert await refused(house.apply("LARGE")) == "promo.not_applicable"
    assert (await house.cart()).promo is None


async def test_a_code_that_stops_fitting_stays_in_sight_without_effect(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("LARGE", minimum_total=usd(400))
    await house.put("1", 2)
    await house.apply("LARGE")
    view = await house.put("1", 1)
    assert (view.discount, view.total) == (usd(0), usd(200))
    assert view.promo is not None
    assert not view.promo.applied
    assert "4.00 USD" in view.promo.reason
    quoted = await quote(house)
    assert (quoted.discount, quoted.promo_code) == (usd(0), "")


async def test_another_code_takes_the_place_and_can_be_dropped(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("TEN")
    await house.promo("HALF", percent=50)
    await house.put("1")
    await house.apply("TEN")
    assert (await house.apply("HALF")).discount == usd(100)
    for _ in range(2):
        view = await house.ask(c.DropPromoCode(visitor=ANNA, guest_cart_id="", language=Language.EN))
        assert (view.discount, view.promo) == (usd(0), None)


async def test_a_guests_code_goes_with_them_into_their_account(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("TEN")
    await house.put("1", by=None, guest=GUEST)
    await house.apply("TEN", by=None, guest=GUEST)
    await house.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=ANNA.user_id))
    assert (await house.cart()).discount == usd(20)


async def test_a_code_used_up_by_the_person_is_not_quoted_again(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("ONCE", uses_per_person=1)
    await house.put("1")
    await house.apply("ONCE")
    await house.redeem("ONCE", "o-1")
    assert (await quote(house)).promo_code == ""
    assert await refused(house.apply("ONCE")) == "promo.exhausted"
    await house.put("1", by=BORIS)
    assert (await house.apply("ONCE", by=BORIS)).discount == usd(20)


# ---------------------------------------------------------------- counting uses


async def test_a_use_is_counted_once_for_an_order(house: House) -> None:
    await house.promo("TEN", uses_total=1)
    await house.redeem("TEN", "o-1")
    await house.redeem("ten", "o-1")
    assert await house.used("TEN") == 1
    assert await refused(house.redeem("TEN", "o-2")) == "promo.exhausted"


async def test_repeating_a_use_is_harmless_also_when_the_code_has_ended_since(house: House) -> None:
    await house.promo("TEN")
    await house.redeem("TEN", "o-1")
    await house.ask(c.DisablePromoCode("TEN"))
    await house.redeem("TEN", "o-1")
    assert await refused(house.redeem("TEN", "o-2")) == "promo.expired"


async def test_what_is_refused_is_not_counted(house: House) -> None:
    await house.promo("LARGE", minimum_total=usd(500))
    assert await refused(house.redeem("LARGE", "o-1", total=499)) == "promo.not_applicable"
    assert await refused(house.redeem("NONE", "o-1")) == "promo.not_applicable"
    house.clock.advance(days=1)
    await house.promo("OVER", valid_until=house.clock())
    assert await refused(house.redeem("OVER", "o-1")) == "promo.expired"
    assert await house.used("LARGE") == await house.used("OVER") == 0
    assert await house.deps.store.database.value("select count(*) from promo_redemption") == 0


@pytest.mark.race
async def test_fifty_orders_race_for_five_uses(house: House) -> None:
    await house.promo("FIVE", uses_total=5)
    racers = [house.redeem("FIVE", f"o-{n}", by=Identity(f"u-{n}", frozenset())) for n in range(50)]
    ends = await asyncio.gather(*racers, return_exceptions=True)
    assert ends.count(None) == 5
    assert {end.code for end in ends if isinstance(end, DomainError)} == {"promo.exhausted"}
    assert await house.used("FIVE") == 5
    assert await house.miscounted() == []


@pytest.mark.race
async def test_one_persons_orders_race_for_their_two_uses(house: House) -> None:
    await house.promo("TWICE", uses_total=100, uses_per_person=2)
    ends = await asyncio.gather(*(house.redeem("TWICE", f"o-{n}") for n in range(20)), return_exceptions=True)
    assert ends.count(None) == 2
    await house.redeem("TWICE", "o-boris", by=BORIS)
    assert await house.used("TWICE") == 3
    assert await house.miscounted() == []


# ---------------------------------------------------------------- giving back


async def test_an_order_that_came_to_nothing_gives_its_use_back_once(house: House) -> None:
    await house.promo("ONE", uses_total=1)
    await house.redeem("ONE", "o-1")
    await house.tell(rejected("o-1"))
    await house.tell(OrderCancelled(order_id="o-1", user_id=ANNA.user_id, reason="again", was_sale=False))
    assert await house.used("ONE") == 0
    await house.redeem("ONE", "o-2")
    assert await refused(house.redeem("ONE", "o-1")) == "promo.not_applicable"
    assert await house.logged() == ["promo.created", "promo.redeemed", "promo.given_back", "promo.redeemed"]


async def test_a_use_for_an_order_that_was_refused_is_given_back_once(house: House) -> None:
    await house.promo("ONE", uses_total=1)
    await house.redeem("ONE", "o-1")
    for _ in range(2):
        await house.ask(c.GiveBackPromoCode("o-1"))
    assert await house.used("ONE") == 0
    assert await house.logged() == ["promo.created", "promo.redeemed", "promo.given_back"]


async def test_a_use_whose_order_never_came_is_given_back_after_ten_minutes(house: House) -> None:
    await house.promo("ONE", uses_total=1)
    await house.redeem("ONE", "o-1")
    house.clock.advance(minutes=10)
    await give_back_unplaced(house.deps)
    assert await house.used("ONE") == 1, "not yet"
    house.clock.advance(seconds=1)
    await give_back_unplaced(house.deps)
    assert await house.used("ONE") == 0


async def test_the_use_of_a_placed_order_stays(house: House) -> None:
    house.market.sell("1", 200)
    await house.promo("ONE", uses_total=1)
    await house.put("1")
    await house.apply("ONE")
    quoted = await quote(house)
    await house.redeem("ONE", "o-1")
    await house.tell(placed(quoted, "o-1"))
    house.clock.advance(days=1)
    house.market.away = {"order"}  # a known order needs no asking
    await give_back_unplaced(house.deps)
    assert await house.used("ONE") == 1


async def test_an_order_whose_event_is_late_keeps_its_use(house: House) -> None:
    await house.promo("ONE", uses_total=1)
    await house.redeem("ONE", "o-1")
    house.market.placed.add("o-1")
    house.clock.advance(hours=1)
    await give_back_unplaced(house.deps)
    assert await house.used("ONE") == 1
    await house.tell(rejected("o-1"))
    assert await house.used("ONE") == 0


async def test_a_wrong_count_is_noticed(house: House) -> None:
    await house.promo("ONE", uses_total=1, uses_per_person=1)
    await house.redeem("ONE", "o-1")
    async with house.deps.transaction() as tx:
        await tx.execute("insert into promo_redemption (order_id, code, user_id, state, at) values ('x', 'ONE', :user, 'held', '')", user=ANNA.user_id)
    found = await house.miscounted()
    assert len(found) == 2, found
    async with house.deps.transaction() as tx:
        await tx.execute("update promo_code set used = 2")
    assert any("2 times of 1" in sentence for sentence in await house.miscounted())


# ---------------------------------------------------------------- staff


async def test_a_code_is_created_once(house: House) -> None:
    await house.promo("TEN")
    assert await refused(house.promo("ten")) == "promo.code_taken"


async def test_disabling_twice_is_told_once(house: House) -> None:
    await house.promo("TEN")
    for _ in range(2):
        assert not (await house.ask(c.DisablePromoCode("ten"))).active
    assert (await house.logged()).count("promo.disabled") == 1
    with pytest.raises(NotFound):
        await house.ask(c.DisablePromoCode("NONE"))


async def test_codes_are_listed_page_by_page(house: House) -> None:
    for code in ("CCC", "AAA", "BBB"):
        await house.promo(code)
    first = await house.ask(c.ListPromoCodes(limit=2))
    rest = await house.ask(c.ListPromoCodes(limit=2, cursor=first.next_cursor or ""))
    assert [promo.code for promo in (*first.items, *rest.items)] == ["AAA", "BBB", "CCC"]
    assert rest.next_cursor is None
