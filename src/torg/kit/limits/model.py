"""How often is too often: four ways to say it, each a function of what is remembered of a caller and the time.

Whatever the clock does, a function answers: time that goes backwards is time in which nothing was given back, so that a caller gains nothing by it, and nobody
is shut out for longer than had it stood still. In any interval of t seconds, by the limit's clock, this many pass at most:

| algorithm      | pass in t seconds, at most        | remembered          |
|----------------|-----------------------------------|---------------------|
| token bucket   | burst + rate * t                  | tokens, when        |
| leaky bucket   | 1 + rate * t; the others wait     | when the next is due|
| fixed window   | 2 * requests + rate * t           | its start, count    |
| sliding window | requests + rate * t               | start, two counts   |

with rate = requests / seconds. Windows begin with a caller's first request, so that not all callers come back in the same moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

NEAR: Final = 1e-6
"""Of a request, what rounding may have lost of it."""
State = tuple[float, float, float]
"""What is remembered of one caller; what the numbers mean is the algorithm's business."""


class Algorithm(StrEnum):
    TOKEN_BUCKET = "token bucket"  # noqa: S105 no password
    LEAKY_BUCKET = "leaky bucket"
    FIXED_WINDOW = "fixed window"
    SLIDING_WINDOW = "sliding window"


class Limit(msgspec.Struct, frozen=True):
    """So many `requests` in so many `seconds`. `burst`: of a token bucket, how many may come at once after a pause; of a leaky bucket, how many may wait
    for their turn. Windows have none."""

    name: str
    algorithm: Algorithm
    requests: int
    seconds: float
    burst: int = 0


class Standing(NamedTuple):
    """Where a caller stands after a request. `wait`: seconds until it may begin where it passed, else until one would pass; `reset`: seconds until all of
    the limit is there again; `remaining`: how many would pass now."""

    passed: bool
    remaining: int
    reset: float
    wait: float


Decide = Callable[[Limit, "State | None", float], tuple[State, Standing]]


def token_bucket(limit: Limit, state: State | None, now: float) -> tuple[State, Standing]:
    rate = limit.requests / limit.seconds
    tokens, at, _ = state or (limit.burst, now, 0.0)
    tokens = min(limit.burst, tokens + max(0.0, now - at) * rate)
    passed = tokens >= 1 - NEAR
    wait = 0.0 if passed else (1 - tokens) / rate
    tokens = max(0.0, tokens - 1) if passed else tokens
    return (tokens, now, 0.0), Standing(passed, int(tokens + NEAR), (limit.burst - tokens) / rate, wait)


def leaky_bucket(limit: Limit, state: State | None, now: float) -> tuple[State, Standing]:
    interval = limit.seconds / limit.requests
    longest = limit.burst * interval
    due = min(max(now, state[0] if state else now), now + longest + interval)
    wait = due - now
    passed = wait <= longest + interval * NEAR
    due = due + interval if passed else due
    room = (longest + interval - (due - now)) / interval
    return (due, 0.0, 0.0), Standing(passed, max(0, int(room + NEAR)), due - now, wait if passed else wait - longest)


def fixed_window(limit: Limit, state: State | None, now: float) -> tuple[State, Standing]:
    start, count, _ = state or (now, 0.0, 0.0)
    start = min(start, now)
    if now - start >= limit.seconds:
        start, count = now, 0.0
    passed = count < limit.requests
    count += passed
    left = start + limit.seconds - now
    return (start, count, 0.0), Standing(passed, limit.requests - int(count), left, 0.0 if passed else left)


def sliding_window(limit: Limit, state: State | None, now: float) -> tuple[State, Standing]:
    """Counts this window's, and of the one before as large a part as still lies within the last `seconds`."""
    start, before, count = state or (now, 0.0, 0.0)
    start = min(start, now)
    if now - start >= 2 * limit.seconds:
        start, before, count = now, 0.0, 0.0
    elif now - start >= limit.seconds:
        start, before, count = start + limit.seconds, count, 0.0
    gone = (now - start) / limit.seconds
    free = limit.requests - count - before * (1 - gone)
    passed = free >= 1 - NEAR
    if passed:
        wait, count, free = 0.0, count + 1, free - 1
    elif count + 1 <= limit.requests:
        wait = ((1 - gone) - (limit.requests - count - 1) / before) * limit.seconds
    else:
        wait = (1 - gone + 1 - (limit.requests - 1) / count) * limit.seconds
    return (start, before, count), Standing(passed, max(0, int(free + NEAR)), (2 - gone if count else 1 - gone) * limit.seconds, wait)


DECIDE: Final[Mapping[Algorithm, Decide]] = {
    Algorithm.TOKEN_BUCKET: token_bucket,
    Algorithm.LEAKY_BUCKET: leaky_bucket,
    Algorithm.FIXED_WINDOW: fixed_window,
    Algorithm.SLIDING_WINDOW: sliding_window,
}
