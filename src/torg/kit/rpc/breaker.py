"""A circuit breaker: who failed again and again is left alone for a while, then asked once, and only after a good answer asked by all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

FAILURES = 5  # in a row
FIRST_REST, LONGEST_REST = 0.5, 10.0  # seconds

State = Literal["closed", "open", "half-open"]


class Breaker:
    """`now` counts seconds and never goes back."""

    def __init__(self, now: Callable[[], float], failures: int = FAILURES, first_rest: float = FIRST_REST, longest_rest: float = LONGEST_REST) -> None:
        self._now, self._most, self._first, self._longest = now, failures, first_rest, longest_rest
        self._failed, self._rest, self._until = 0, first_rest, 0.0
        self._probing = False

    @property
    def state(self) -> State:
        if self._failed < self._most:
            return "closed"
        return "open" if self._probing or self._now() < self._until else "half-open"

    def take(self) -> bool:
        """Whether a request may be sent now; half open, just one may, and whoever takes that chance must tell how it ended."""
        if self._failed < self._most:
            return True
        if self._probing or self._now() < self._until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        if self._failed:
            self._failed, self._rest, self._probing = 0, self._first, False

    def failed(self) -> None:
        """The rest grows with each probe in vain; what was sent before it opened tells nothing new."""
        self._failed += 1
        if self._failed == self._most or (self._failed > self._most and (self._probing or self._now() >= self._until)):
            self._until = self._now() + self._rest
            self._rest = min(self._rest * 2, self._longest)
            self._probing = False

    def gave_up(self) -> None:
        """Whoever asked has gone before the answer: it says nothing, and the next one may ask."""
        self._probing = False
