"""Secrets that an installation makes for itself."""

from __future__ import annotations

from pathlib import Path

from torg.kit.values import Randomness


def kept_secret(folder: Path, randomness: Randomness) -> str:
    """64 hexadecimal digits: made at random at the first asking, then kept in the folder's file `secret`, for its owner alone."""
    file = folder / "secret"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(randomness(32).hex())
    return file.read_text()
