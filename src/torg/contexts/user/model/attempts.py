"""How long whoever guesses passwords has to wait."""

from __future__ import annotations

from datetime import timedelta

FREE_FAILURES = 10  # of one account from one address
FREE_ACCOUNT_FAILURES = 100  # of one account from all addresses it has never been used from
LONGEST_PAUSE = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=1)


def pause(failures: int, free: int) -> timedelta:
    """How long to wait after so many wrong passwords: nothing for the first ones, then twice as long each time."""
    if failures < free:
        return timedelta()
    return min(timedelta(seconds=2.0 ** min(failures - free, 20)), LONGEST_PAUSE)
