"""Request figures, cheap enough for every request: a bisect and three additions, collected into a Prometheus histogram when asked."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from torg.kit.telemetry import BUCKETS


class RouteStats:
    """Times of one (method, route, status)."""

    __slots__ = ("counts", "labels", "total")

    def __init__(self, method: str, route: str, status: int) -> None:
        self.labels = (method, route, str(status))
        self.counts, self.total = [0] * (len(BUCKETS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds


class RequestStats(Collector):
    """All routes' times, as `torg_http_request_seconds`."""

    def __init__(self) -> None:
        self._all: dict[tuple[str, str, int], RouteStats] = {}

    def of(self, method: str, route: str, status: int) -> RouteStats:
        key = (method, route, status)
        return self._all.get(key) or self._all.setdefault(key, RouteStats(*key))

    def collect(self) -> Iterable[HistogramMetricFamily]:
        family = HistogramMetricFamily("torg_http_request_seconds", "Time from a request's arrival to its answer", labels=("method", "route", "status"))
        for stats in self._all.values():
            running, buckets = 0, []
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), stats.counts, strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(stats.labels, buckets, stats.total)
        return [family]
