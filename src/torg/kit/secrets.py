"""Secrets that an installation makes for itself."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from pathlib import Path

from torg.kit.values import Randomness


def kept_secret(file: Path, randomness: Randomness, strength: int = 32) -> str:
    """Text of `strength` random bytes: made at the first asking, then kept in the file, for its owner alone. Processes that ask at once get the same."""
    if kept := _kept(file):
        return kept
    made, fresh = urlsafe_b64encode(randomness(strength)).decode().rstrip("="), file.with_name(f"{file.name}.{randomness(6).hex()}")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        fresh.touch(mode=0o600)
        fresh.write_text(f"{made}\n")
        _put(fresh, file)
    finally:
        fresh.unlink(missing_ok=True)
    return _kept(file)


def _kept(file: Path) -> str:
    """Empty when there is none. An empty one was left by a disk that was full: it protects nothing."""
    return file.read_text().strip() if file.exists() else ""


def _put(fresh: Path, file: Path) -> None:
    """Only the first of several takes effect, which a rename could not promise."""
    if file.exists() and not _kept(file):
        file.unlink()
    try:
        os.link(fresh, file)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        fresh.replace(file)
