"""Deliveries over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.shipping import contracts as c
from torg.kit.http import Route, get, post


def routes() -> Sequence[Route]:
    return (
        get("/delivery/quotes", c.GetDeliveryQuotes, right="catalog:read", cached=60, summary="Ways to deliver to a city, their prices and pick-up points"),
        get("/deliveries", c.ListDeliveries, right="deliveries:read", summary="Your deliveries, newest first; everybody's for staff"),
        get("/deliveries/{delivery_id}", c.GetDelivery, right="deliveries:read", summary="One delivery"),
        get("/deliveries/{delivery_id}/events", c.TrackDelivery, right="deliveries:read", summary="What has happened to a parcel, oldest first"),
        post(
            "/deliveries/{delivery_id}/rebuild",
            c.RebuildDelivery,
            about=c.GetDelivery,
            right="tables:write",
            summary="Make a delivery's status what the log says",
        ),
        post(
            "/deliveries/{delivery_id}/status",
            c.MoveDelivery,
            about=c.GetDelivery,
            right="deliveries:write",
            idempotency="accepted",
            summary="Tell how far a parcel is",
        ),
    )
