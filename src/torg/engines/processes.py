"""Processes that outlive the one that started them: how they are started, recognised later and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Detached(subprocess.Popen[bytes]):
    """Runs in a session of its own and is left running on purpose, so nobody is warned that it wasn't waited for."""

    def __init__(self, command: Sequence[str], log: Path, folder: Path, environment: Mapping[str, str], user: str) -> None:
        with log.open("ab") as out:
            super().__init__(
                list(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, env=dict(environment), start_new_session=True, umask=0o077,
                user=user or None, group=user or None, extra_groups=[] if user else None,
            )  # fmt: skip

    def __del__(self) -> None:
        """No warning."""


def mark(pid: int) -> str:
    """What tells the process apart from a later one of the same number: when it started. Empty when there is none, or only its zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a child of ours that ended
    if not Path("/proc/self/stat").exists():
        return _mark_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    ended = fields[0] in "ZX" and int(fields[17]) <= 1  # a zombie whose threads are still ending has its port and its files yet
    return "" if ended else f"{fields[19]} {Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"


def _mark_by_ps(pid: int) -> str:
    told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout.split(maxsplit=1)
    return "" if not told or told[0].startswith("Z") else told[1].strip()


def end(pid: int, known: str, by: signal.Signals = signal.SIGTERM, patience: float = 30) -> bool:
    """Ends the process that has this mark, with `by` first and SIGKILL to all of its session when it takes longer than `patience` seconds.
    Tells whether it ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, by)
    if gone(pid, known, patience):
        return True
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    gone(pid, known, 10)
    return False


def gone(pid: int, known: str, patience: float) -> bool:
    """Waits so many seconds at most until no process has this mark."""
    until = time.monotonic() + patience
    while mark(pid) == known:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
