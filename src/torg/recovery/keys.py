"""Keys that backups are encrypted with, in the age format (https://age-encryption.org/v1): who has just the public one can make a backup, and not read it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyrage
from pyrage.x25519 import Identity, Recipient

from torg.kit.values import Clock, stamp
from torg.recovery.errors import CannotBackUp, CannotRestore

SECRET, PUBLIC = "AGE-SECRET-KEY-1", "age1"
MARK = b"age-encryption.org/"


def make_key(file: Path, clock: Clock) -> str:
    """Writes a new secret key, for its owner alone, and gives the public one. Raises CannotBackUp where there is a file already."""
    made = Identity.generate()
    try:
        file.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise CannotBackUp(f"{file} is there already: a key is not written over, since what it closed would stay so") from error
    file.write_text(f"# created: {stamp(clock())}\n# public key: {made.to_public()}\n{made}\n")
    return str(made.to_public())


def recipients(file: Path) -> Sequence[Recipient]:
    """For whom a backup is encrypted: a file's public keys, and those of its secret ones. Raises CannotBackUp."""
    try:
        found = [Identity.from_str(line).to_public() if line.startswith(SECRET) else Recipient.from_str(line) for line in _lines(file)]
    except (OSError, UnicodeError, pyrage.IdentityError, pyrage.RecipientError) as error:
        raise CannotBackUp(f"{file} cannot be read as age keys, a line each: {error}; torg backup-key makes one") from error
    if not found:
        raise CannotBackUp(f"{file} holds no key: torg backup-key makes one")
    return found


def identities(file: Path) -> Sequence[Identity]:
    """Who a backup may be encrypted for: a file's secret keys. Raises CannotRestore."""
    try:
        found = [Identity.from_str(line) for line in _lines(file) if line.startswith(SECRET)]
    except (OSError, UnicodeError, pyrage.IdentityError) as error:
        raise CannotRestore(f"{file} cannot be read as age keys, a line each: {error}") from error
    if not found:
        raise CannotRestore(f"{file} holds no secret key ({SECRET}…): a public one closes a backup and does not open it")
    return found


def _lines(file: Path) -> list[str]:
    return [line for raw in file.read_text().splitlines() if (line := raw.strip()) and not line.startswith("#")]
