"""Analytics over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.analytics import contracts as c
from torg.kit.http import Route, get, post


def routes() -> Sequence[Route]:
    return (
        post(
            "/analytics/events",
            c.RecordBehaviour,
            right="behaviour:write",
            status=202,
            idempotency="accepted",
            summary="Record a batch of views, searches, clicks",
        ),
        get("/analytics/sales", c.GetSales, right="reports:read", summary="What was sold, by day, week, month, category, product or city"),
        get("/analytics/top-products", c.GetTopProducts, right="reports:read", summary="The products that sold best"),
        get("/analytics/funnel", c.GetFunnel, right="reports:read", summary="How far visitors came"),
        get("/analytics/cohorts", c.GetCohorts, right="reports:read", summary="How many buyers come back, by month of their first order"),
        post("/analytics/reports/rebuild", c.RebuildReports, right="reports:write", summary="Count sales anew from the log of orders, while reports are shown"),
    )
