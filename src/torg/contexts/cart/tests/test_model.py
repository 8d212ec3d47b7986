"""The rules of carts, without a store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.cart.contracts import CreatePromoCode, OrderedLine, PromoCode
from torg.contexts.cart.model import MOST_LINES, MOST_UNITS, Cart, Line, cleared, closed, discount, merged, promo_code, put, refusal, removed
from torg.kit.errors import DomainError, Invalid
from torg.kit.values import Money

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def usd(amount: int) -> Money:
    return Money(amount, "USD")


def line(product_id: str, quantity: int = 1, price: int = 100) -> Line:
    return Line(product_id, quantity, f"Tea {product_id}", f"Чай {product_id}", usd(price))


def promo(**terms: object) -> PromoCode:
    return PromoCode(**{"code": "SPRING", "kind": "percent", "percent": 10, "created_at": NOW, **terms})  # type: ignore[arg-type]


carts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, MOST_UNITS)).map(
    lambda lines: Cart("c", tuple(line(product, quantity) for product, quantity in lines.items()))
)


def counts(cart: Cart) -> dict[str, int]:
    return {line.product_id: line.quantity for line in cart.lines}


def test_a_product_keeps_its_place_when_its_quantity_changes() -> None:
    cart = put(put(put(Cart("c"), line("a")), line("b")), line("a", 5))
    assert [(found.product_id, found.quantity) for found in cart.lines] == [("a", 5), ("b", 1)]


def test_the_hundred_and_first_product_is_refused_but_more_of_the_others_is_not() -> None:
    cart = Cart("c", tuple(line(str(number)) for number in range(MOST_LINES)))
    with pytest.raises(DomainError) as full:
        put(cart, line("one more"))
    assert full.value.code == "cart.full"
    assert put(cart, line("7", 9)).lines[7].quantity == 9


def test_removing_what_is_not_in_and_clearing_an_empty_cart_change_nothing() -> None:
    cart = Cart("c", (line("a"),))
    assert removed(cart, "b") is cart
    assert cleared(Cart("c")) == Cart("c")
    assert cleared(Cart("c", (), "SPRING")) == Cart("c")


def test_merging_adds_quantities_up_to_the_most_of_a_line() -> None:
    both = merged(Cart("member", (line("a", 60), line("b", 1))), Cart("guest", (line("c", 3), line("a", 60))))
    assert both.id == "member"
    assert counts(both) == {"a": MOST_UNITS, "b": 1, "c": 3}


def test_merging_keeps_the_members_promo_code_and_takes_the_guests_only_where_there_is_none() -> None:
    guest = Cart("guest", (), "GUEST")
    assert merged(Cart("member", (), "MEMBER"), guest).promo_code == "MEMBER"
    assert merged(Cart("member"), guest).promo_code == "GUEST"


def test_merging_two_full_carts_keeps_the_members_lines() -> None:
    member = Cart("m", tuple(line(f"m{n}") for n in range(70)))
    guest = Cart("g", tuple(line(f"g{n}") for n in range(70)))
    both = merged(member, guest)
    assert len(both.lines) == MOST_LINES
    assert both.lines[:70] == member.lines


@given(carts, carts)
def test_merging_loses_and_invents_nothing(member: Cart, guest: Cart) -> None:
    expected = {product: min(counts(member).get(product, 0) + counts(guest).get(product, 0), MOST_UNITS) for product in {*counts(member), *counts(guest)}}
    assert counts(merged(member, guest)) == expected


@given(carts, carts)
def test_closing_keeps_exactly_what_is_in_beyond_the_order(now: Cart, ordered: Cart) -> None:
    lines = tuple(OrderedLine(product, quantity) for product, quantity in counts(ordered).items())
    left = closed(now, "c", lines, "next")
    assert left.id == "next"
    assert counts(left) == {
        product: quantity - counts(ordered).get(product, 0) for product, quantity in counts(now).items() if quantity > counts(ordered).get(product, 0)
    }
    assert closed(left, "c", lines, "another") is left, "closing again changes nothing"


def test_the_used_promo_code_does_not_stay_in_the_next_cart() -> None:
    assert closed(Cart("c", (line("a", 2),), "SPRING"), "c", (OrderedLine("a", 1),), "next").promo_code == ""


@pytest.mark.parametrize(
    ("terms", "total", "expected"),
    [
        ({"percent": 10}, 999, 99),
        ({"percent": 100}, 999, 999),
        ({"kind": "amount", "percent": None, "amount": usd(300)}, 999, 300),
        ({"kind": "amount", "percent": None, "amount": usd(300)}, 250, 250),
        ({"kind": "free_delivery", "percent": None}, 999, 0),
    ],
)
def test_a_discount_never_exceeds_the_items(terms: dict[str, object], total: int, expected: int) -> None:
    assert discount(promo(**terms), usd(total)) == usd(expected)


def test_a_code_counts_from_its_first_moment_until_just_before_its_last() -> None:
    spring = promo(valid_from=NOW, valid_until=NOW + timedelta(days=1))
    assert refusal(spring, usd(1), NOW) is None
    assert refusal(spring, usd(1), NOW + timedelta(days=1, microseconds=-1)) is None
    early, late = refusal(spring, usd(1), NOW - timedelta(microseconds=1)), refusal(spring, usd(1), NOW + timedelta(days=1))
    assert early is not None
    assert early.code == "promo.not_applicable"
    assert late is not None
    assert late.code == "promo.expired"


def test_a_minimum_is_met_by_exactly_that_much() -> None:
    spring = promo(minimum_total=usd(1000))
    assert refusal(spring, usd(1000), NOW) is None
    below = refusal(spring, usd(999), NOW)
    assert below is not None
    assert "10.00 USD" in below.detail


def test_terms_that_do_not_fit_together_are_named_all_at_once() -> None:
    cmd = CreatePromoCode(
        code="bad", kind="percent", amount=usd(-1), minimum_total=Money(5, "EUR"), valid_from=datetime(2026, 1, 1), valid_until=NOW  # noqa: DTZ001
    )  # fmt: skip
    with pytest.raises(Invalid) as refused:
        promo_code(cmd, "USD", NOW)
    assert {fault.field for fault in refused.value.errors} == {"percent", "amount", "minimum_total", "valid_from"}


def test_a_code_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        promo_code(CreatePromoCode(code="x-1", kind="free_delivery", valid_from=NOW, valid_until=NOW), "USD", NOW)
    assert [fault.field for fault in refused.value.errors] == ["valid_until"]


def test_capitals_make_no_difference_in_a_code() -> None:
    assert promo_code(CreatePromoCode(code="spring", kind="free_delivery"), "USD", NOW).code == "SPRING"
