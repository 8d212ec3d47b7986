"""Carts of guests and members: what is put in, shown, merged, quoted and closed."""

from __future__ import annotations

import asyncio

import pytest

from torg.contexts.cart import contracts as c
from torg.contexts.cart.handlers import purge_abandoned
from torg.contexts.cart.tests.counter import ANNA, BORIS, GUEST, OTHER_GUEST, Counter, quantities, usd
from torg.contexts.order.contracts import DeliveryPlan, OrderLine, OrderPlaced
from torg.contexts.user.contracts import Address, UserErased
from torg.kit.errors import DomainError, NotFound, Unavailable
from torg.kit.values import Language

# ---------------------------------------------------------------- putting in and taking out


async def test_a_product_is_shown_at_its_price_in_the_readers_language(counter: Counter) -> None:
    counter.market.sell("1", 250)
    view = await counter.put("1", 3)
    assert view.items == (c.CartItem(product_id="1", name="Tea 1", quantity=3, unit_price=usd(250), line_total=usd(750), available=True),)
    assert (view.subtotal, view.discount, view.total, view.stale, view.guest) == (usd(750), usd(0), usd(750), False, False)
    assert (await counter.cart(language=Language.RU)).items[0].name == "Чай 1"


async def test_putting_again_sets_the_quantity_and_does_not_add_it(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 3)
    assert quantities(await counter.put("1", 2)) == {"1": 2}


async def test_a_product_that_does_not_exist_is_not_put_in(counter: Counter) -> None:
    with pytest.raises(NotFound) as refused:
        await counter.put("none")
    assert refused.value.code == "product.not_found"
    assert (await counter.cart()).items == ()


async def test_a_withdrawn_product_is_not_put_in(counter: Counter) -> None:
    counter.market.sell("1", 250)
    counter.market.withdrawn.add("1")
    with pytest.raises(DomainError) as refused:
        await counter.put("1")
    assert refused.value.code == "product.not_on_sale"


async def test_the_hundred_and_first_product_is_refused(counter: Counter) -> None:
    for number in range(101):
        counter.market.sell(str(number), 100)
    for number in range(100):
        await counter.put(str(number))
    with pytest.raises(DomainError) as full:
        await counter.put("100")
    assert full.value.code == "cart.full"
    assert len((await counter.cart()).items) == 100


async def test_removing_and_clearing_twice_is_harmless(counter: Counter) -> None:
    counter.market.sell("1", 250)
    counter.market.sell("2", 100)
    await counter.put("1")
    await counter.put("2")
    await counter.remove("1")
    assert quantities(await counter.remove("1")) == {"2": 1}
    for _ in range(2):
        assert (await counter.ask(c.ClearCart(visitor=ANNA, guest_cart_id="", language=Language.EN))).items == ()


async def test_a_changed_price_is_shown_with_the_one_before(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2)
    counter.market.prices["1"] = 300
    item = (await counter.cart()).items[0]
    assert (item.unit_price, item.line_total, item.price_changed_from) == (usd(300), usd(600), usd(250))
    assert (await counter.put("1", 2)).items[0].price_changed_from is None, "putting it in again accepts the price"


async def test_too_little_stock_and_withdrawal_show_in_the_line(counter: Counter) -> None:
    counter.market.sell("1", 250, stock=2)
    counter.market.sell("2", 250)
    assert (await counter.put("1", 2)).items[0].available
    assert not (await counter.put("1", 3)).items[0].available
    await counter.put("2")
    counter.market.withdrawn.add("2")
    assert not (await counter.cart()).items[1].available


# ---------------------------------------------------------------- whose cart it is


async def test_a_cart_that_was_never_filled_keeps_its_id(counter: Counter) -> None:
    counter.market.sell("1", 250)
    first = await counter.cart()
    assert (await counter.cart()).id == first.id
    assert (await counter.put("1")).id == first.id
    handed_out = (await counter.cart(by=None)).id
    assert (await counter.put("1", by=None, guest=handed_out)).id == handed_out


async def test_guests_without_a_cart_get_one_of_their_own_each(counter: Counter) -> None:
    one, two = await counter.cart(by=None), await counter.cart(by=None)
    assert one.guest
    assert one.id != two.id


async def test_a_members_cart_is_not_opened_by_its_id(counter: Counter) -> None:
    counter.market.sell("1", 250)
    own = await counter.put("1", 5)
    seen = await counter.cart(by=None, guest=own.id)
    assert seen.items == ()
    await counter.put("1", 9, by=None, guest=own.id)
    await counter.ask(c.ClearCart(visitor=None, guest_cart_id=own.id, language=Language.EN))
    assert quantities(await counter.cart()) == {"1": 5}


async def test_a_member_has_their_own_cart_whatever_guest_cart_they_name(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 5, by=None, guest=GUEST)
    assert (await counter.cart(by=ANNA, guest=GUEST)).items == ()
    assert (await counter.cart(by=BORIS)).items == ()


# ---------------------------------------------------------------- while others are away


async def test_the_cart_answers_from_what_it_knows_while_the_others_are_away(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2)
    counter.market.prices["1"] = 300
    counter.market.away = {"catalog", "inventory"}
    view = await counter.cart()
    assert view.stale
    assert (view.items[0].name, view.items[0].unit_price, view.items[0].available, view.total) == ("Tea 1", usd(250), True, usd(500))
    counter.market.away = {"inventory"}
    view = await counter.cart()
    assert view.stale
    assert view.total == usd(600)


async def test_more_of_the_same_can_be_had_while_the_catalogue_is_away_but_nothing_new(counter: Counter) -> None:
    counter.market.sell("1", 250)
    counter.market.sell("2", 250)
    await counter.put("1", 2)
    counter.market.away = {"catalog"}
    assert quantities(await counter.put("1", 4)) == {"1": 4}
    with pytest.raises(Unavailable):
        await counter.put("2")


async def test_there_is_no_quote_without_prices_or_stock(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1")
    for context in ("catalog", "inventory"):
        counter.market.away = {context}
        with pytest.raises(Unavailable):
            await counter.ask(c.GetQuote(ANNA.user_id))


# ---------------------------------------------------------------- merging at login


async def test_a_guests_cart_joins_the_members_at_login(counter: Counter) -> None:
    counter.market.sell("1", 250)
    counter.market.sell("2", 100)
    await counter.put("1", 2)
    await counter.put("1", 98, by=None, guest=GUEST)
    await counter.put("2", 1, by=None, guest=GUEST)
    member_id = (await counter.cart()).id
    for _ in range(2):
        await counter.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=ANNA.user_id))
        view = await counter.cart()
        assert quantities(view) == {"1": 99, "2": 1}
        assert view.id == member_id
    assert (await counter.cart(by=None, guest=GUEST)).items == (), "the guest's cart is gone"


async def test_logins_that_race_merge_the_guests_cart_once(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2, by=None, guest=GUEST)
    await asyncio.gather(*(counter.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=ANNA.user_id)) for _ in range(20)))
    assert quantities(await counter.cart()) == {"1": 2}


async def test_two_who_claim_the_same_guest_cart_do_not_both_get_it(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2, by=None, guest=GUEST)
    await asyncio.gather(*(counter.ask(c.MergeCarts(guest_cart_id=GUEST, user_id=who.user_id)) for who in (ANNA, BORIS)))
    assert sorted([len((await counter.cart()).items), len((await counter.cart(by=BORIS)).items)]) == [0, 1]


async def test_merging_a_members_cart_id_or_an_unknown_one_changes_nothing(counter: Counter) -> None:
    counter.market.sell("1", 250)
    others = await counter.put("1", 2, by=BORIS)
    for named in (others.id, OTHER_GUEST, ""):
        await counter.ask(c.MergeCarts(guest_cart_id=named, user_id=ANNA.user_id))
    assert (await counter.cart()).items == ()
    assert quantities(await counter.cart(by=BORIS)) == {"1": 2}


# ---------------------------------------------------------------- two tabs


async def test_two_tabs_that_put_different_things_at_once_lose_nothing(counter: Counter) -> None:
    for number in range(30):
        counter.market.sell(str(number), 100)
    await asyncio.gather(*(counter.put(str(number), number + 1) for number in range(30)))
    assert quantities(await counter.cart()) == {str(number): number + 1 for number in range(30)}


# ---------------------------------------------------------------- ordering


async def quote(counter: Counter) -> c.Quote:
    return await counter.ask(c.GetQuote(ANNA.user_id))


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


async def test_a_quote_is_priced_anew(counter: Counter) -> None:
    counter.market.sell("1", 250, stock=2)
    counter.market.sell("2", 100)
    await counter.put("1", 2)
    await counter.put("2", 1)
    counter.market.prices["1"], counter.market.stock["2"] = 300, 0
    quoted = await quote(counter)
    assert [(line.line_total, line.available, line.weight_grams, line.category_path) for line in quoted.lines] == [
        (usd(600), True, 200, ("food", "tea")),
        (usd(100), False, 200, ("food", "tea")),
    ]
    assert quoted.items_total == usd(700)


async def test_a_product_that_vanished_is_quoted_as_unavailable(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1")
    del counter.market.prices["1"]
    assert [(line.name, line.available) for line in (await quote(counter)).lines] == [("Tea 1", False)]


async def test_an_empty_cart_has_a_quote_without_lines(counter: Counter) -> None:
    quoted = await quote(counter)
    assert (quoted.lines, quoted.items_total, quoted.discount) == ((), usd(0), usd(0))
    assert quoted.cart_id == (await counter.cart()).id


async def test_the_ordered_cart_is_followed_by_a_new_one(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2)
    ordered = await quote(counter)
    await counter.ask(close(ordered))
    after = await counter.cart()
    assert after.items == ()
    assert after.id != ordered.cart_id


async def test_what_was_added_during_checkout_stays(counter: Counter) -> None:
    counter.market.sell("1", 250)
    counter.market.sell("2", 100)
    counter.market.sell("3", 100)
    await counter.put("1", 2)
    await counter.put("3", 2)
    ordered = await quote(counter)
    await asyncio.gather(counter.put("1", 5), counter.put("2", 1), counter.remove("3"), counter.ask(close(ordered)))
    after = await counter.cart()
    assert after.id != ordered.cart_id
    # a change that came before the closing keeps what is beyond the order; one that came after it is a wish for the new cart
    assert quantities(after) in ({"1": 3, "2": 1}, {"1": 5, "2": 1})


async def test_more_of_an_ordered_product_added_before_the_closing_keeps_the_difference(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2)
    ordered = await quote(counter)
    await counter.put("1", 5)
    await counter.ask(close(ordered))
    assert quantities(await counter.cart()) == {"1": 3}


async def test_the_cart_is_closed_once_however_often_it_is_told(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2)
    ordered = await quote(counter)
    await counter.ask(close(ordered))
    await counter.put("1", 2)
    new = await counter.cart()
    await counter.ask(close(ordered))
    await counter.tell(placed(ordered))
    await counter.tell(placed(ordered))
    assert await counter.cart() == new


async def test_the_bus_closes_the_cart_where_the_buyers_request_died(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 2)
    ordered = await quote(counter)
    await counter.tell(placed(ordered))
    after = await counter.cart()
    assert after.items == ()
    assert after.id != ordered.cart_id


# ---------------------------------------------------------------- forgetting


async def test_abandoned_guest_carts_are_forgotten_after_thirty_days(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 1, by=None, guest=GUEST)
    await counter.put("1", 1)
    counter.clock.advance(days=15)
    await counter.put("1", 1, by=None, guest=OTHER_GUEST)
    counter.clock.advance(days=15, seconds=1)
    await purge_abandoned(counter.deps)
    assert (await counter.cart(by=None, guest=GUEST)).items == ()
    assert quantities(await counter.cart(by=None, guest=OTHER_GUEST)) == {"1": 1}
    assert quantities(await counter.cart()) == {"1": 1}, "members keep theirs"


async def test_an_erased_user_leaves_no_cart(counter: Counter) -> None:
    counter.market.sell("1", 250)
    await counter.put("1", 1)
    await counter.tell(UserErased(ANNA.user_id))
    assert await counter.deps.store.database.value("select count(*) from cart") == 0
