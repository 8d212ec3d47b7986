"""`torg log`: the security events in a shop's log, for people."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from torg.kit.security import EVENT, KINDS

SHOWN: Final = ("timestamp", "kind", "code", "user_id", "client_id", "address", "path", "request_id")


def log(*files: Path, kind: str = "", address: str = "", person: str = "", last: int = 100) -> None:
    """Show the security events in the log of a shop that runs with TORG_LOG_FORMAT=json: sign-ins, refusals, forgeries; and how many there were of each.

    Parameters
    ----------
    files
        Files of log lines; without any, what comes in: docker compose logs --no-log-prefix | torg log
    kind
        Only these: sign_in, wrong_password, unauthenticated, forbidden, guessing, card, limit, call.
    address
        Only from addresses that begin so.
    person
        Only of this user's id.
    last
        So many lines; the counts are of all.
    """
    if kind and kind not in KINDS:
        print(f"torg: there is no kind {kind!r}; kinds are {', '.join(KINDS)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    wanted = {name: value for name, value in (("kind", kind), ("user_id", person)) if value}
    found = [
        event for event in events(_lines(files))
        if all(event.get(name) == value for name, value in wanted.items()) and str(event.get("address", "")).startswith(address)
    ]  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(_table(found[-last:]))
    for name, count in _counts(found).most_common():
        console.print(f"{count:>8}  {name}: {KINDS.get(name, '')}", highlight=False)


def events(lines: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Those among log lines; what is no JSON is passed by."""
    for line in lines:
        if f'"{EVENT}"' in line:
            try:
                said = msgspec.json.decode(line[line.index("{") :])
            except (ValueError, msgspec.DecodeError):
                continue
            if isinstance(said, dict) and said.get("event") == EVENT:
                yield said


def _counts(found: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """With those that had no line of their own."""
    counts: Counter[str] = Counter()
    for event in found:
        counts[str(event.get("kind"))] += 1 + int(event.get("left_out", 0))
    return counts


def _table(found: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in SHOWN:
        table.add_column(column, overflow="fold")
    for event in found:
        table.add_row(*[str(event.get(column, "")) for column in SHOWN])
    return table


def _lines(files: Iterable[Path]) -> Iterator[str]:
    given = tuple(files)
    for file in given:
        try:
            with file.open(errors="replace") as lines:
                yield from lines
        except OSError as error:
            print(f"torg: {file} cannot be read: {error.strerror}", file=sys.stderr)  # noqa: T201
            sys.exit(2)
    if not given:
        yield from sys.stdin
