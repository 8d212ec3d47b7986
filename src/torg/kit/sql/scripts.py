"""Migration files: which there are for an engine, and what stands in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from torg.kit.sql.dialect import Dialect

_CONTRACT: Final = re.compile(r"^-- contract: nothing older than (\S+) runs any more$", re.MULTILINE)


def files_of(folder: Path, dialect: Dialect) -> dict[str, Path]:
    """Each migration's file for this engine, by the migration's name, in their order."""
    common = {file.name: file for file in sorted(folder.glob("*.sql")) if file.name.count(".") == 1}
    own = {name: folder / f"{name.removesuffix('.sql')}.{dialect.variant}.sql" for name in common}
    return {name: own[name] if own[name].exists() else file for name, file in common.items()}


def statements(script: str) -> list[str]:
    """The statements of a script: each ends with a semicolon at the end of a line; lines that begin with -- are not theirs."""
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    return [statement for part in "\n".join(lines).split(";\n") if (statement := part.strip().rstrip(";"))]


def oldest_of(script: str) -> str:
    """Where a migration contracts: the migration that whoever still runs must know; else empty."""
    found = _CONTRACT.search(script)
    return found[1] if found else ""
