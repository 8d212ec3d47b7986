"""What analytics is asked: which products go together, what was sold, who came and what became of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from torg.kit.auth import Identity
from torg.kit.messages import Command, Query, message
from torg.kit.period import PERIOD
from torg.kit.values import Limit, MaybeText, Money


class Recommendations(msgspec.Struct, frozen=True):
    """Product ids, best first."""

    bought_together: tuple[str, ...]


@message("analytics.get_recommendations")
class GetRecommendations(Query[Recommendations], frozen=True):
    """What others bought together with a product, best first."""

    product_id: str
    limit: int = 12


Grouping = Literal["day", "week", "month", "category", "product", "city"]


class SalesRow(msgspec.Struct, frozen=True, kw_only=True):
    """`key` is the day (2026-11-21), the week's Monday, the month (2026-11), the category's or product's id, or the city."""

    key: str
    orders: int
    units: int
    revenue: Money
    name: str = ""


class SalesReport(msgspec.Struct, frozen=True):
    items: tuple[SalesRow, ...]


@message("analytics.get_sales")
class GetSales(Query[SalesReport], frozen=True, kw_only=True):
    """Orders confirmed and not undone, by the UTC day on which they were placed; from inclusive, to exclusive. Periods in order of time, everything
    else by revenue."""

    RULES = PERIOD

    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    group_by: Grouping = "day"
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 366


@message("analytics.get_top_products")
class GetTopProducts(Query[SalesReport], frozen=True, kw_only=True):
    """The products that sold best, by units or revenue."""

    RULES = PERIOD

    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")
    by: Literal["units", "revenue"] = "revenue"
    limit: Limit = 24


BehaviourKind = Literal["view", "search", "click", "cart", "checkout"]


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something a visitor did. `id` is made by the client, so that a batch may be sent twice."""

    id: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    kind: BehaviourKind
    visitor: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    product_id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    query: MaybeText = ""


class Recorded(msgspec.Struct, frozen=True):
    """How many of a batch were new."""

    recorded: int


@message("analytics.record_behaviour")
class RecordBehaviour(Command[Recorded], frozen=True):
    """Files what visitors did; what was filed before counts once."""

    events: Annotated[tuple[Behaviour, ...], msgspec.Meta(min_length=1, max_length=500)]
    visitor: Identity | None = None


FunnelName = Literal["view", "cart", "checkout", "placed", "confirmed"]
FUNNEL: Final[tuple[FunnelName, ...]] = ("view", "cart", "checkout", "placed", "confirmed")


class FunnelStep(msgspec.Struct, frozen=True):
    """`share` is of the step before, in per cent, rounded down; null for the first or after an empty step."""

    step: FunnelName
    visitors: int
    share: int | None


class Funnel(msgspec.Struct, frozen=True):
    items: tuple[FunnelStep, ...]


@message("analytics.get_funnel")
class GetFunnel(Query[Funnel], frozen=True, kw_only=True):
    """How many different visitors came how far, counted by UTC day and summed."""

    RULES = PERIOD

    since: str = msgspec.field(default="", name="from")
    until: str = msgspec.field(default="", name="to")


class Cohort(msgspec.Struct, frozen=True):
    """Buyers whose first order was in `month`; `active[n]` of them bought n months later."""

    month: str
    buyers: int
    active: tuple[int, ...]


class Cohorts(msgspec.Struct, frozen=True):
    items: tuple[Cohort, ...]


@message("analytics.get_cohorts")
class GetCohorts(Query[Cohorts], frozen=True, kw_only=True):
    """Retention by month of first order, the last so many months."""

    months: Annotated[int, msgspec.Meta(ge=1, le=36)] = 12


class ReportsRebuilt(msgspec.Struct, frozen=True):
    """How many sales were counted, and how many rows of the reports were wrong before (null where only ClickHouse could tell)."""

    sales: int
    mended: int | None
    seconds: float


@message("analytics.rebuild_reports")
class RebuildReports(Command[ReportsRebuilt], frozen=True):
    """Counts sales anew from the log of orders while the reports are shown, and answers when they show the new count. Waits for one that is under way."""

    IDEMPOTENT = True
