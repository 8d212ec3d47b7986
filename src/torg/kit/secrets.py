"""Secrets that an installation makes for itself."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from pathlib import Path

from torg.kit.values import Randomness


def kept_secret(file: Path, randomness: Randomness, strength: int = 32) -> str:
    """Text of `strength` random bytes: made at the first asking, then kept in the file, for its owner alone."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(urlsafe_b64encode(randomness(strength)).decode().rstrip("=") + "\n")
    return file.read_text().strip()
