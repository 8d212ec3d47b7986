"""Migrations follow expand, migrate, contract. While a new version is rolled out the one before it still runs, on the same tables: a migration may add what
the older one need not know of (expand), and fill it (migrate). What the older one still reads or writes goes in a later release, when it runs nowhere any
more (contract): such a file begins with `-- contract: nothing older than order/0007_totals.sql runs any more`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from torg.kit.sql.dialect import POSTGRES, SQLITE, Dialect
from torg.kit.sql.scripts import files_of, oldest_of, statements

_HARMLESS: Final = re.compile(
    r"(insert into|update|delete from|with|select|analyze|comment on|grant|lock table|alter table \w+ attach partition"
    r"|create (or replace )?(view|materialized view|sequence|extension|schema|type|function)) "
)
_TABLE: Final = re.compile(r"create table (?:if not exists )?(\w+)")
_INDEX: Final = re.compile(r"create (unique )?index (?:concurrently )?(?:if not exists )?(\w+) on (?:only )?(\w+)")
_DROP: Final = re.compile(r"drop (table|view|materialized view|index|sequence|type|function|trigger) (?:if exists )?(\w+)")
_ALTER: Final = re.compile(r"alter table (?:if exists )?(?:only )?(\w+) (.+)")
_NEXT: Final = re.compile(r", ?(?=(?:add|drop|alter|rename) )")
_COLUMN: Final = re.compile(r"add (?:column )?(?:if not exists )?(?!(?:constraint|unique|primary|foreign|check|exclude)\b)(\w+) (.+)")

_CHANGES: Final = (
    (r"drop constraint", "drops a constraint of {table}, which statements of the version before it may rely on"),
    (r"drop (?:column )?(?:if exists )?(?P<column>\w+)", "drops {table}.{column}, which the version before it still reads or writes"),
    (r"rename (?:column )?(?P<column>\w+) to \w+", "renames {table}.{column}, which the version before it knows by its old name"),
    (r"rename to", "renames {table}, which the version before it knows by its old name"),
    (r"alter (?:column )?(?P<column>\w+) (?:set data )?type", "changes the type of {table}.{column}, which the version before it uses as it was"),
    (r"alter (?:column )?(?P<column>\w+) set not null", "wants {table}.{column} filled, which the version before it may leave empty"),
    (r"alter (?:column )?(?P<column>\w+) drop default", "takes the default of {table}.{column}, which the version before it may rely on"),
    (r"add (?:constraint \w+ )?(?:unique|primary key)", "makes something of {table} unique, which old rows and the version before it may not be"),
    (r"add (?:constraint \w+ )?(?:check|foreign key|exclude)", "adds a rule to {table}, which old rows and the version before it may not keep to"),
    (r"detach partition", "takes a partition out of {table}, whose rows the version before it still reads"),
)
_LATER: Final = (
    "let the new version do without it first, and do this in a later release, in a file that begins with "
    "'-- contract: nothing older than <the migration since which it can do without> runs any more'"
)
_TEACH: Final = "this check does not know what that means for the version before it: teach it (torg.kit.sql.compatibility)"


@dataclass
class _Known:
    """What the version before a migration knows of; what the same file makes is not among it."""

    tables: set[str] = field(default_factory=set)
    unique: set[str] = field(default_factory=set)


def breaking(folder: Path) -> list[str]:
    """A sentence for each statement of a context's migrations, on either engine, that would break the version before it, and for each false header."""
    return sorted({fault for dialect in (SQLITE, POSTGRES) for fault in _faults(folder, dialect)})


def _faults(folder: Path, dialect: Dialect) -> Iterator[str]:
    known, earlier = _Known(), set[str]()
    for name, file in files_of(folder, dialect).items():
        script, full, made = file.read_text(), f"{folder.parent.name}/{name}", _Known()
        oldest = oldest_of(script)
        if oldest and oldest not in earlier:
            yield f"{full}: nothing older than {oldest} is to run any more, but no migration before it has that name (names are like {full})"
        for statement in statements(script):
            fault = _judge(re.sub(r"\s+", " ", statement.lower()), known, made)
            if fault and not oldest:
                yield f"{full}: {fault}"
        known.tables |= made.tables
        known.unique |= made.unique
        earlier.add(full)


def _judge(statement: str, known: _Known, made: _Known) -> str:
    """What the version before could not bear about a statement, or nothing."""
    if _HARMLESS.match(statement):
        return ""
    if found := _TABLE.match(statement):
        made.tables.add(found[1])
        return ""
    if found := _INDEX.match(statement):
        return _judge_index(bool(found[1]), found[2], found[3], known, made)
    if found := _DROP.match(statement):
        return _judge_drop(found[1], found[2], known)
    if found := _ALTER.match(statement):
        changes = _NEXT.split(found[2]) if found[1] in known.tables else []
        return next(filter(None, (_judge_change(found[1], change) for change in changes)), "")
    return f"says {statement[:60]!r}: {_TEACH}"


def _judge_index(unique: bool, index: str, table: str, known: _Known, made: _Known) -> str:
    if unique:
        made.unique.add(index)
    if not unique or table not in known.tables:
        return ""
    return f"makes something of {table} unique (index {index}), which old rows and the version before it may not be: {_LATER}"


def _judge_drop(kind: str, name: str, known: _Known) -> str:
    if kind == "index":
        return f"drops the unique index {name}, which statements of the version before it may rely on: {_LATER}" if name in known.unique else ""
    if kind == "table" and name not in known.tables:
        return ""
    return f"drops the {kind} {name}, which the version before it still uses: {_LATER}"


def _judge_change(table: str, change: str) -> str:
    if added := _COLUMN.match(change):
        return _judge_column(f"{table}.{added[1]}", added[2])
    for pattern, words in _CHANGES:
        if found := re.match(pattern, change):
            return f"{words.format(table=table, column=found.groupdict().get('column', ''))}: {_LATER}"
    return f"changes {table} by {change[:60]!r}: {_TEACH}"


def _judge_column(column: str, rest: str) -> str:
    if re.search(r"\b(unique|primary key)\b", rest):
        return f"adds {column} as unique, which rows of the version before it are not: {_LATER}"
    if "not null" in rest and not re.search(r"\b(default|generated)\b", rest):
        return f"adds {column}, which must be filled, and the version before it leaves it empty: give it a default"
    return ""
