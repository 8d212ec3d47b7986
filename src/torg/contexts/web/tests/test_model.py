"""Amounts that people type, places to go back to, and how far an order is."""

from __future__ import annotations

import msgspec
import pytest

from torg.contexts.order.contracts import HistoryEntry, PaymentState
from torg.contexts.web.model import minor_units, safe_path, way, whole_number
from torg.contexts.web.tests.house import an_order
from torg.kit.testing import START

AMOUNTS = {"12.50": 1250, "12,5": 1250, "1 200": 120000, ".5": 50, "7": 700}
NO_AMOUNTS = dict.fromkeys(["", ".", "1.234", "-1", "1e3", "٣"])


def entry(name: str) -> HistoryEntry:
    return HistoryEntry(1, name, START, msgspec.Raw(b"{}"))


@pytest.mark.parametrize(("typed", "units"), [*AMOUNTS.items(), *NO_AMOUNTS.items()])
def test_amounts_as_people_type_them(typed: str, units: int | None) -> None:
    assert minor_units(typed, 2) == units


def test_amount_of_a_currency_without_minor_units() -> None:
    assert minor_units("1500", 0) == 1500
    assert minor_units("1.5", 0) is None


@pytest.mark.parametrize("path", ["", "//x", "/\\x", "https://x", "x", "/a b", "/a\nb", "/ё"])
def test_only_paths_of_this_shop_are_gone_back_to(path: str) -> None:
    assert safe_path(path) == "/"


def test_way_of_an_order_shows_what_is_done_and_what_is_ahead() -> None:
    stops = way(an_order(status="paid"), [entry("order.placed"), entry("order.paid")])
    assert [(stop.status, stop.state) for stop in stops] == [
        ("pending", "done"), ("reserved", "done"), ("paid", "current"), ("confirmed", "ahead"), ("shipped", "ahead"), ("delivered", "ahead"),
    ]  # fmt: skip


def test_delivered_order_has_nothing_ahead() -> None:
    assert {stop.state for stop in way(an_order(status="delivered"), [])} == {"done"}


def test_cash_is_not_paid_on_the_way() -> None:
    order = an_order(payment=PaymentState(method="cash", status="authorized"))
    assert "paid" not in [stop.status for stop in way(order, [])]


def test_way_that_ended_early_shows_how_far_it_came() -> None:
    stops = way(an_order(status="cancelled"), [entry("order.reserved")])
    assert [(stop.status, stop.state) for stop in stops] == [("pending", "done"), ("reserved", "done"), ("cancelled", "ended")]


@pytest.mark.parametrize(("typed", "number"), [("3", 3), ("0", 0), ("", 0), ("-1", 0), ("²", 0), ("1.5", 0), ("9" * 5000, 0), ("٣", 3)])
def test_what_is_no_whole_number_counts_nothing(typed: str, number: int) -> None:
    assert whole_number(typed) == number
