"""TCP ports for processes that are yet to be started on them."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

FIRST, PAST = 10_240, 32_768
"""Below those that systems hand out to whoever connects (Linux from 32768 on, others from 49152: RFC 6335): none of these takes a port away before the process
that it is meant for listens there."""
_turns = count(os.getpid() * 64)


def free_port(host: str = "127.0.0.1") -> int:
    """One at which nobody listens at this moment, another one each time, and one that no other process on this machine was given that still runs. Raises
    OSError when there is none."""
    for _ in range(PAST - FIRST):
        port = FIRST + next(_turns) % (PAST - FIRST)
        if _is_ours(port) and _is_free(host, port):
            return port
    raise OSError(f"no port from {FIRST} to {PAST - 1} is free on {host}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _is_ours(port: int) -> bool:
    """A lock on a byte that stands for it, until this process ends."""
    try:
        fcntl.lockf(_locks(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _locks() -> int:
    return os.open(Path(tempfile.gettempdir()) / f"torg-ports-{os.getuid()}", os.O_RDWR | os.O_CREAT, 0o600)
