"""The declaration as it is written: the package's own file, and an operator's over it."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from torg.contexts.gateway.model import Bounds, Countries, Declared, Row, Rule, faults
from torg.contexts.gateway.model.keeping import Keep
from torg.contexts.gateway.model.rewriting import Rewrite
from torg.contexts.gateway.model.services import Service
from torg.kit.settings import BadSettings

ROWS: Final[Mapping[str, Any]] = {"routes": Row, "services": Service, "limits": Rule, "rewrites": Rewrite, "kept": Keep}
"""The tables that have a row for each name."""
DEFAULTS: Final = Path(__file__).parents[1] / "gateway.toml"


class BadGateway(Exception):
    """Lists everything that is wrong with the declaration, and what would be right."""


def load(path: str, contexts: Collection[str]) -> Declared:
    """The defaults, with what the file at `path` says instead, if there is one. Raises BadSettings with everything that is wrong at once."""
    try:
        return declared(laid_over(tomllib.loads(DEFAULTS.read_text()), _own(path)), contexts) if path else _defaults(tuple(contexts))
    except BadGateway as wrong:
        raise BadSettings(f"{f'TORG_GATEWAY={path}' if path else DEFAULTS} is wrong:\n  {wrong}") from wrong


@cache
def _defaults(contexts: tuple[str, ...]) -> Declared:
    """Read and held against one another once in a process, however often a shop is opened in it."""
    return declared(tomllib.loads(DEFAULTS.read_text()), contexts)


def _own(path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"TORG_GATEWAY={path!r} cannot be read: {error}") from error


def laid_over(below_: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of one file over those of another, key by key."""
    both = dict(below_)
    for key, value in above.items():
        under = both.get(key)
        both[key] = laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return both


def declared(document: Mapping[str, Any], contexts: Collection[str]) -> Declared:
    """Raises BadGateway with all that is wrong at once."""
    wrong: list[str] = []
    kinds: Mapping[str, Any] = {**ROWS, "bounds": Bounds, "countries": Countries}
    wrong += [f"[{section}]: there is no such table; known are {', '.join(kinds)}" for section in document if section not in kinds]
    read: dict[str, Any] = {}
    for section, kind in kinds.items():
        read[section] = _read(section, document.get(section, {}), kind, wrong)
    if wrong:
        raise BadGateway("\n  ".join(wrong))
    found = Declared(**read)
    if wrong := faults(found, contexts):
        raise BadGateway("\n  ".join(wrong))
    return found


def _read(section: str, table: Any, kind: Any, wrong: list[str]) -> Any:
    """Each row by itself, so that none hides what is wrong with another."""
    row = ROWS.get(section)
    if row is None or not isinstance(table, Mapping):
        return _convert(f"[{section}]", table, kind, wrong)
    return {name: _convert(f'[{section}] "{name}"', value, row, wrong) for name, value in table.items()}


def _convert(place: str, value: Any, kind: Any, wrong: list[str]) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        wrong.append(f"{place}: {error}")
        known = getattr(kind, "__struct_fields__", ())
        if "unknown field" in str(error):
            wrong[-1] += f"; known are {', '.join(known)}"
        return None
