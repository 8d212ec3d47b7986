"""Security events: who signed in, who was refused, and what was forged, each a line of the log. So many of a kind in a minute and no more: a flood must not
fill the disk; metrics count them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Literal

from prometheus_client import Counter

from torg.kit import telemetry

Kind = Literal["sign_in", "wrong_password", "unauthenticated", "forbidden", "guessing", "card", "limit", "call"]
KINDS: Final = {
    "sign_in": "somebody signed in",
    "wrong_password": "a wrong password for an account that there is",
    "unauthenticated": "a token, key, code or signature that is not believed",
    "forbidden": "somebody known, or a form of another site, may not do this",
    "guessing": "asked too often to be answered: passwords, codes, letters",
    "card": "a card number where none belongs",
    "limit": "the front door turned a request away: limit, network, country",
    "call": "another process of the fleet is not believed, or may not ask",
}
EVENT: Final = "security"
EVENTS: Final = Counter("torg_security_events_total", "Sign-ins, refusals and forgeries", ("kind",))


class Teller:
    """Writes lines. `left_out` in the first line of a minute says how many of its kind had none before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._few = telemetry.Few(clock)

    def __call__(self, kind: Kind, **about: str) -> None:
        """`about` holds nothing secret and no address of a letter: ids, codes, paths, networks."""
        EVENTS.labels(kind).inc()
        besides = self._few.may(kind)
        if besides is not None:
            said = {name: value for name, value in about.items() if value}
            write = telemetry.log.info if kind == "sign_in" else telemetry.log.warning
            write(EVENT, kind=kind, **said, **besides)


tell: Final = Teller()
