"""What calls between processes say about themselves."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from torg.kit.telemetry import BUCKETS

ASKED = Histogram("torg_rpc_seconds", "Time from a call to its answer, all tries included", ("context", "outcome"), buckets=BUCKETS)
SERVED = Histogram("torg_rpc_served_seconds", "Time to answer a call from another process", ("message", "outcome"), buckets=BUCKETS)
AGAIN = Counter("torg_rpc_retries_total", "Calls that were sent once more", ("context",))
OPEN = Gauge("torg_rpc_breaker_open", "1 while an instance is left alone because it failed again and again", ("context", "address"))
LEFT_OUT = Gauge("torg_rpc_left_out", "1 while an instance is left out because it does much worse than its peers", ("context", "address"))
