"""A clock that can be moved on while processes run: for rehearsals of what time brings (TORG_CLOCK)."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from torg.kit import values


class MovedClock:
    """The wall clock, ahead by as many seconds as the file says; all processes that read the same file agree."""

    def __init__(self, file: Path) -> None:
        self._file, self._seen, self._ahead = file, (0, 0), timedelta()

    def __call__(self) -> datetime:
        stat = self._file.stat()
        if (changed := (stat.st_mtime_ns, stat.st_ino)) != self._seen:
            self._seen, self._ahead = changed, timedelta(seconds=float(self._file.read_text()))
        return values.utc_now() + self._ahead

    def advance(self, **by: float) -> None:
        """Moves on by timedelta's words: advance(minutes=16)."""
        ahead = timedelta(seconds=float(self._file.read_text())) if self._file.exists() else timedelta()
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str((ahead + timedelta(**by)).total_seconds()))
        fresh.replace(self._file)
