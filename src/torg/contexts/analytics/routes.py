"""Analytics over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.analytics import contracts as c
from torg.kit.auth import ANYONE, Role
from torg.kit.http import Route, get, post

ANALYST = frozenset({Role.ANALYST})
OPERATORS = frozenset({Role.ADMIN})


def routes() -> Sequence[Route]:
    return (
        post("/analytics/events", c.RecordBehaviour, who=ANYONE, status=202, idempotency="accepted", summary="Record a batch of views, searches, clicks"),
        get("/analytics/sales", c.GetSales, who=ANALYST, summary="What was sold, by day, week, month, category, product or city"),
        get("/analytics/top-products", c.GetTopProducts, who=ANALYST, summary="The products that sold best"),
        get("/analytics/funnel", c.GetFunnel, who=ANALYST, summary="How far visitors came"),
        get("/analytics/cohorts", c.GetCohorts, who=ANALYST, summary="How many buyers come back, by month of their first order"),
        post("/analytics/reports/rebuild", c.RebuildReports, who=OPERATORS, summary="Count sales anew from the log of orders, while reports are shown"),
    )
