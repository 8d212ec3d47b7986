"""What events make out of date, held against the tags of the routes that are kept."""

from __future__ import annotations

from typing import Any

from torg.contexts.catalog.contracts import PriceChanged
from torg.contexts.inventory.contracts import StocksChanged, Units
from torg.fleet.purging import CAUSES, SOURCES
from torg.kit.messages import Event
from torg.kit.values import Money

KNOWN = {"product", "products", "picture", "categories", "catalog"}


def test_logs_of_three_contexts_tell_of_what_is_kept():
    assert {"catalog", "inventory", "review"} == SOURCES


def test_a_price_makes_the_product_and_lists_of_it_out_of_date():
    price = Money(100, "RUB")
    assert CAUSES[PriceChanged](PriceChanged(product_id="1", price=price, old_price=price)) == ("product:1", "products")


def test_many_at_once_are_as_many_tags():
    assert CAUSES[StocksChanged](StocksChanged((Units("1", 5), Units("2", 0)))) == ["product:1", "product:2"]


def test_events_name_tags_that_routes_have():
    for kind, tags in CAUSES.items():
        assert {tag.partition(":")[0] for tag in tags(_sample(kind))} <= KNOWN


def _sample(kind: type[Event]) -> Any:
    class Named:
        product_id = "1"

    return StocksChanged((Units("1", 1),)) if kind is StocksChanged else Named()
