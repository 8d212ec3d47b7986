"""Deliveries over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.shipping import contracts as c
from torg.kit.auth import SIGNED_IN, Role
from torg.kit.http import Route, get, post

COURIERS = frozenset({Role.COURIER})


def routes() -> Sequence[Route]:
    return (
        get("/delivery/quotes", c.GetDeliveryQuotes, cached=60, summary="Ways to deliver to a city, with their prices and pick-up points"),
        get("/deliveries", c.ListDeliveries, who=SIGNED_IN, summary="Your deliveries, newest first; everybody's for staff"),
        get("/deliveries/{delivery_id}", c.GetDelivery, who=SIGNED_IN, summary="One delivery"),
        get("/deliveries/{delivery_id}/events", c.TrackDelivery, who=SIGNED_IN, summary="What has happened to a parcel, oldest first"),
        post("/deliveries/{delivery_id}/status", c.MoveDelivery, who=COURIERS, idempotency="accepted", summary="Tell how far a parcel is"),
    )
