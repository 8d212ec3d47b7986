"""Carts of guests and members: what is put in, shown, merged, quoted and closed."""

from __future__ import annotations

import asyncio

import pytest

from torg.contexts.cart import contracts as c
from torg.contexts.cart.handlers import purge_abandoned
from torg.contexts.cart.tests.house import ANNA, BORIS, GUEST, OTHER_GUEST, House, quantities, usd
from torg.contexts.order.contracts import DeliveryPlan, OrderLine, OrderPlaced
from torg.contexts.user.contracts import Address, UserErased
from torg.kit.errors import DomainError, NotFound, Unavailable
from torg.kit.values import Language

# ---------------------------------------------------------------- putting in and taking out


async def test_a_product_is_shown_at_its_price_in_the_readers_language(house: House) -> None:
    house.market.sell("1", 250)
    view = await house.put("1", 3)
    assert view.items == (c.CartItem(product_id="1", name="Tea 1", quantity=3, unit_price=usd(250), line_total=usd(750), available=True),)
    assert (view.subtotal, view.discount, view.total, view.stale, view.guest) == (usd(750), usd(0), usd(750), False, False)
    assert (await house.cart(language=Language.RU)).items[0].name == "Чай 1"


async def test_putting_again_sets_the_quantity_and_does_not_add_it(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 3)
    assert quantities(await house.put("1", 2)) == {"1": 2}


async def test_a_product_that_does_not_exist_is_not_put_in(house: House) -> None:
    with pytest.raises(NotFound) as refused:
        await house.put("none")
    assert refused.value.code == "product.not_found"
    assert (await house.cart()).items == ()


async def test_a_withdrawn_product_is_not_put_in(house: House) -> None:
    house.market.sell("1", 250)
    house.market.withdrawn.add("1")
    with pytest.raises(DomainError) as refused:
        await house.put("1")
    assert refused.value.code == "product.not_on_sale"


async def test_the_hundred_and_first_product_is_refused(house: House) -> None:
    for number in range(101):
        house.market.sell(str(number), 100)
    for number in range(100):
        await house.put(str(number))
    with pytest.raises(DomainError) as full:
        await house.put("100")
    assert full.value.code == "cart.full"
    assert len((await house.cart()).items) == 100


async def test_removing_and_clearing_twice_is_harmless(house: House) -> None:
    house.market.sell("1", 250)
    house.market.sell("2", 100)
    await house.put("1")
    await house.put("2")
    await house.remove("1")
    assert quantities(await house.remove("1")) == {"2": 1}
    for _ in range(2):
        assert (await house.ask(c.ClearCart(visitor=ANNA, guest_cart_id="", language=Language.EN))).items == ()


async def test_a_changed_price_is_shown_with_the_one_before(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2)
    house.market.prices["1"] = 300
    item = (await house.cart()).items[0]
    assert (item.unit_price, item.line_total, item.price_changed_from) == (usd(300), usd(600), usd(250))
    assert (await house.put("1", 2)).items[0].price_changed_from is None, "putting it in again accepts the price"


async def test_too_little_stock_and_withdrawal_show_in_the_line(house: House) -> None:
    house.market.sell("1", 250, stock=2)
    house.market.sell("2", 250)
    assert (await house.put("1", 2)).items[0].available
    assert not (await house.put("1", 3)).items[0].available
    await house.put("2")
    house.market.withdrawn.add("2")
    assert not (await house.cart()).items[1].available


# ---------------------------------------------------------------- whose cart it is


async def test_a_cart_that_was_never_filled_keeps_its_id(house: House) -> None:
    house.market.sell("1", 250)
    first = await house.cart()
    assert (await house.cart()).id == first.id
    assert (await house.put("1")).id == first.id
    handed_out = (await house.cart(by=None)).id
    assert (await house.put("1", by=None, guest=handed_out)).id == handed_out


async def test_guests_without_a_cart_get_one_of_their_own_each(house: House) -> None:
    one, two = await house.cart(by=None), await house.cart(by=None)
    assert one.guest
    assert one.id != two.id


async def test_a_members_cart_is_not_opened_by_its_id(house: House) -> None:
    house.market.sell("1", 250)
    own = await house.put("1", 5)
    seen = await house.cart(by=None, guest=own.id)
    assert seen.items == ()
    await house.put("1", 9, by=None, guest=own.id)
    await house.ask(c.ClearCart(visitor=None, guest_cart_id=own.id, language=Language.EN))
    assert quantities(await house.cart()) == {"1": 5}


async def test_a_member_has_their_own_cart_whatever_guest_cart_they_name(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 5, by=None, guest=GUEST)
    assert (await house.cart(by=ANNA, guest=GUEST)).items == ()
    assert (await house.cart(by=BORIS)).items == ()


# ---------------------------------------------------------------- while others are away


async def test_the_cart_answers_from_what_it_knows_while_the_others_are_away(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2)
    house.market.prices["1"] = 300
    house.market.away = {"catalog", "inventory"}
    view = await house.cart()
    assert view.stale
    assert (view.items[0].name, view.items[0].unit_price, view.items[0].available, view.total) == ("Tea 1", usd(250), True, usd(500))
    house.market.away = {"inventory"}
    view = await house.cart()
    assert view.stale
    assert view.total == usd(600)


async def test_more_of_the_same_can_be_had_while_the_catalogue_is_away_but_nothing_new(house: House) -> None:
    house.market.sell("1", 250)
    house.market.sell("2", 250)
    await house.put("1", 2)
    house.market.away = {"catalog"}
    assert quantities(await house.put("1", 4)) == {"1": 4}
    with pytest.raises(Unavailable):
        await house.put("2")


async def test_there_is_no_quote_without_prices_or_stock(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1")
    for context in ("catalog", "inventory"):
        house.market.away = {context}
        with pytest.raises(Unavailable):
            await house.ask(c.GetQuote(ANNA.user_id))


# ---------------------------------------------------------------- merging at login


async def test_a_guests_cart_joins_the_members_at_login(house: House) -> None:
    house.market.sell("1", 250)
    house.market.sell("2", 100)
    await house.put("1", 2)
    await house.put("1", 98, by=None, guest=GUEST)
    await house.put("2", 1, by=None, guest=GUEST)
    member_id = (await house.cart()).id
    for _ in range(2):
        await house.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=ANNA.user_id))
        view = await house.cart()
        assert quantities(view) == {"1": 99, "2": 1}
        assert view.id == member_id
    assert (await house.cart(by=None, guest=GUEST)).items == (), "the guest's cart is gone"


async def test_logins_that_race_merge_the_guests_cart_once(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2, by=None, guest=GUEST)
    await asyncio.gather(*(house.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=ANNA.user_id)) for _ in range(20)))
    assert quantities(await house.cart()) == {"1": 2}


async def test_two_who_claim_the_same_guest_cart_do_not_both_get_it(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2, by=None, guest=GUEST)
    await asyncio.gather(*(house.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=who.user_id)) for who in (ANNA, BORIS)))
    assert sorted([len((await house.cart()).items), len((await house.cart(by=BORIS)).items)]) == [0, 1]


async def test_merging_a_members_cart_id_or_an_unknown_one_changes_nothing(house: House) -> None:
    house.market.sell("1", 250)
    others = await house.put("1", 2, by=BORIS)
    for named in (others.id, OTHER_GUEST, ""):
        await house.ask(c.MergeCarts(guest_cart_id=named, user_id=ANNA.user_id))
    assert (await house.cart()).items == ()
    assert quantities(await house.cart(by=BORIS)) == {"1": 2}


# ---------------------------------------------------------------- two tabs


async def test_two_tabs_that_put_different_things_at_once_lose_nothing(house: House) -> None:
    for number in range(30):
        house.market.sell(str(number), 100)
    await asyncio.gather(*(house.put(str(number), number + 1) for number in range(30)))
    assert quantities(await house.cart()) == {str(number): number + 1 for number in range(30)}


# ---------------------------------------------------------------- ordering


async def quote(house: House) -> c.Quote:
    return await house.ask(c.GetQuote(ANNA.user_id))


def close(quoted: c.Quote, order_id: str = "o-1") -> c.CloseCart:
    lines = tuple(c.OrderedLine(line.product_id, line.quantity) for line in quoted.lines)
    return c.CloseCart(cart_id=quoted.cart_id, user_id=ANNA.user_id, order_id=order_id, lines=lines)


def placed(quoted: c.Quote, order_id: str = "o-1") -> OrderPlaced:
    lines = tuple(OrderLine(product_id=q.product_id, name=q.name, quantity=q.quantity, unit_price=q.unit_price, line_total=q.line_total) for q in quoted.lines)
    return OrderPlaced(
        order_id=order_id, user_id=ANNA.user_id, bucket_id=quoted.cart_id, lines=lines, payment_method="balance", items_total=quoted.items_total,
        delivery=DeliveryPlan(method="courier", address=Address(city="Moscow", street="Tverskaya 1", postcode="125009")),
        delivery_price=usd(0), discount=quoted.discount, total=quoted.items_total, promo_code=quoted.promo_code,
    )  # fmt: skip


async def test_a_quote_is_priced_anew(house: House) -> None:
    house.market.sell("1", 250, stock=2)
    house.market.sell("2", 100)
    await house.put("1", 2)
    await house.put("2", 1)
    house.market.prices["1"], house.market.stock["2"] = 300, 0
    quoted = await quote(house)
    assert [(line.line_total, line.available, line.weight_grams, line.category_path) for line in quoted.lines] == [
        (usd(600), True, 200, ("food", "tea")),
        (usd(100), False, 200, ("food", "tea")),
    ]
    assert quoted.items_total == usd(700)


async def test_a_product_that_vanished_is_quoted_as_unavailable(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1")
    del house.market.prices["1"]
    assert [(line.name, line.available) for line in (await quote(house)).lines] == [("Tea 1", False)]


async def test_an_empty_cart_has_a_quote_without_lines(house: House) -> None:
    quoted = await quote(house)
    assert (quoted.lines, quoted.items_total, quoted.discount) == ((), usd(0), usd(0))
    assert quoted.cart_id == (await house.cart()).id


async def test_the_ordered_cart_is_followed_by_a_new_one(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2)
    ordered = await quote(house)
    await house.ask(close(ordered))
    after = await house.cart()
    assert after.items == ()
    assert after.id != ordered.cart_id


async def test_what_was_added_during_checkout_stays(house: House) -> None:
    house.market.sell("1", 250)
    house.market.sell("2", 100)
    house.market.sell("3", 100)
    await house.put("1", 2)
    await house.put("3", 2)
    ordered = await quote(house)
    await asyncio.gather(house.put("1", 5), house.put("2", 1), house.remove("3"), house.ask(close(ordered)))
    after = await house.cart()
    assert after.id != ordered.cart_id
    # a change that came before the closing keeps what is beyond the order; one that came after it is a wish for the new cart
    assert quantities(after) in ({"1": 3, "2": 1}, {"1": 5, "2": 1})


async def test_more_of_an_ordered_product_added_before_the_closing_keeps_the_difference(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2)
    ordered = await quote(house)
    await house.put("1", 5)
    await house.ask(close(ordered))
    assert quantities(await house.cart()) == {"1": 3}


async def test_the_cart_is_closed_once_however_often_it_is_told(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2)
    ordered = await quote(house)
    await house.ask(close(ordered))
    await house.put("1", 2)
    new = await house.cart()
    await house.ask(close(ordered))
    await house.tell(placed(ordered))
    await house.tell(placed(ordered))
    assert await house.cart() == new


async def test_the_bus_closes_the_cart_where_the_buyers_request_died(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 2)
    ordered = await quote(house)
    await house.tell(placed(ordered))
    after = await house.cart()
    assert after.items == ()
    assert after.id != ordered.cart_id


# ---------------------------------------------------------------- forgetting


async def test_abandoned_guest_carts_are_forgotten_after_thirty_days(sql_house: House) -> None:
    sql_house.market.sell("1", 250)
    await sql_house.put("1", 1, by=None, guest=GUEST)
    await sql_house.put("1", 1)
    sql_house.clock.advance(days=15)
    await sql_house.put("1", 1, by=None, guest=OTHER_GUEST)
    sql_house.clock.advance(days=15, seconds=1)
    await purge_abandoned(sql_house.deps)
    assert (await sql_house.cart(by=None, guest=GUEST)).items == ()
    assert quantities(await sql_house.cart(by=None, guest=OTHER_GUEST)) == {"1": 1}
    assert quantities(await sql_house.cart()) == {"1": 1}, "members keep theirs"


async def test_an_erased_user_leaves_no_cart(house: House) -> None:
    house.market.sell("1", 250)
    await house.put("1", 1)
    await house.tell(placed(await quote(house)))
    await house.put("1", 1)
    await house.tell(UserErased(ANNA.user_id))
    for table in ("cart", "member_cart"):
        assert await house.deps.store.database.value(f"select count(*) from {table}") == 0
    assert (await house.cart()).items == ()
