"""Secrets that an installation makes for itself."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path

from torg.kit.values import Randomness


def kept_secret(file: Path, randomness: Randomness, strength: int = 32) -> str:
    """Text of `strength` random bytes: made at the first asking, then kept in the file, for its owner alone."""
    if kept := file.read_text().strip() if file.exists() else "":  # an empty one was left by a disk that was full: it protects nothing
        return kept
    made, fresh = urlsafe_b64encode(randomness(strength)).decode().rstrip("="), file.with_name(f"{file.name}.new")
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(f"{made}\n")
    fresh.replace(file)
    return made
