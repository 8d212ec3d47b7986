"""Products as rows of a stream: NDJSON (one JSON object a line) or CSV (RFC 4180, with a heading). Bytes go in as they come, rows come out.

CSV columns are named like the fields; `price` and `old_price` are minor units of the shop's currency, `pictures` are parted by spaces, and a column
`attribute:Colour` is the attribute Colour. An empty cell says nothing."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import msgspec

from torg.contexts.catalog.contracts import NewProduct, RowError
from torg.contexts.catalog.ports import ImportRow
from torg.kit.errors import Invalid, UnsupportedMediaType

LONGEST_ROW = 1 << 20  # bytes
ATTRIBUTE = "attribute:"

_FIELDS = {info.name: info for info in msgspec.structs.fields(NewProduct)}
_HINTS = get_type_hints(NewProduct, include_extras=True)
_MONEY = ("price", "old_price")
_PLAIN = frozenset(_FIELDS) - {"attributes", "variants"}


class NdjsonRows:
    """One JSON object a line, of NewProduct's fields; blank lines are passed over."""

    def __init__(self) -> None:
        self._lines = _Lines()

    def feed(self, chunk: bytes) -> Iterator[ImportRow]:
        return (self._row(line, text) for line, text in self._lines.feed(chunk) if text.strip())

    def end(self) -> Iterator[ImportRow]:
        """What was not ended by a line feed."""
        return self.feed(b"\n")

    def _row(self, line: int, text: bytes) -> ImportRow:
        try:
            values = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _bad(line, "", "malformed", f"the line is not JSON: {error}")
        if not isinstance(values, dict):
            return _bad(line, "", "type", "a line is one JSON object")
        return _row(line, values, strict=True)


class CsvRows:
    """Rows under a heading. Raises Invalid for a heading that has a column nobody knows."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._lines = _Lines()
        self._heading: list[str] = []
        self._begun, self._size = 0, 0
        self._record: list[bytes] = []
        self._quoted = False

    def feed(self, chunk: bytes) -> Iterator[ImportRow]:
        for line, text in self._lines.feed(chunk):
            if not self._quoted:
                self._begun, self._size, self._record = line, 0, []
            self._record.append(text)
            self._size += len(text) + 1
            if self._size > LONGEST_ROW:
                raise _too_long(self._begun)
            self._quoted ^= text.count(b'"') % 2 == 1
            if not self._quoted and self._size > 1:
                yield from self._read(self._begun, b"\n".join(self._record))

    def end(self) -> Iterator[ImportRow]:
        yield from self.feed(b"\n")
        if self._quoted:
            yield _bad(self._begun, "", "malformed", "a quoted cell that begins here does not end")

    def _read(self, line: int, record: bytes) -> Iterator[ImportRow]:
        try:
            cells = next(csv.reader([record.decode("utf-8-sig")], strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            yield _bad(line, "", "malformed", f"the row is not CSV in UTF-8: {error}")
            return
        if not self._heading:
            self._heading = _heading(cells)
        elif len(cells) != len(self._heading):
            yield _bad(line, "", "malformed", f"the row has {len(cells)} cells, the heading {len(self._heading)}")
        else:
            yield _row(line, self._values({name: cell for name, cell in zip(self._heading, cells, strict=True) if cell}), strict=False)

    def _values(self, cells: Mapping[str, str]) -> dict[str, Any]:
        values: dict[str, Any] = {name: cell for name, cell in cells.items() if name in _PLAIN}
        values |= {name: {"amount": cells[name], "currency": self._currency} for name in _MONEY if name in cells}
        if "pictures" in values:
            values["pictures"] = cells["pictures"].split()
        attributes = [{"name": name.removeprefix(ATTRIBUTE), "value": cell} for name, cell in cells.items() if name.startswith(ATTRIBUTE)]
        return values | ({"attributes": attributes} if attributes else {})


def rows_of(media: str, currency: str) -> NdjsonRows | CsvRows:
    """The reader for a Content-Type. Raises UnsupportedMediaType."""
    kind = media.partition(";")[0].strip().lower()
    if kind in ("application/x-ndjson", "application/ndjson", "application/jsonl"):
        return NdjsonRows()
    if kind == "text/csv":
        return CsvRows(currency)
    raise UnsupportedMediaType("body.media_type", "send products as application/x-ndjson or text/csv")


class _Lines:
    """Numbered lines, as they become complete."""

    def __init__(self) -> None:
        self._rest, self._number = b"", 0

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest
        for line in lines:
            self._number += 1
            if len(line) > LONGEST_ROW:
                raise _too_long(self._number)
            yield self._number, line.removesuffix(b"\r")
        if len(rest) > LONGEST_ROW:
            raise _too_long(self._number + 1)


def _heading(cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    unknown = [name for name in names if name not in _PLAIN and not (name.startswith(ATTRIBUTE) and len(name) > len(ATTRIBUTE))]
    if unknown or len(set(names)) < len(names):
        known = ", ".join(sorted(_PLAIN))
        raise Invalid("import.heading", f"the heading has {', '.join(map(repr, unknown)) or 'a column twice'}; the columns are {known}, and attribute:NAME")
    return names


def _row(line: int, values: dict[str, Any], strict: bool) -> ImportRow:
    if values.keys() <= _FIELDS.keys():
        try:
            return ImportRow(line, msgspec.convert(values, NewProduct, strict=strict))
        except msgspec.ValidationError:
            return ImportRow(line, None, tuple(_faults(line, values, strict)))
    return ImportRow(line, None, tuple(_faults(line, values, strict)))


def _faults(line: int, values: dict[str, Any], strict: bool) -> Iterator[RowError]:
    """Every one of them, where converting the whole stops at the first."""
    for name in values.keys() - _FIELDS.keys():
        yield RowError(line, name, "unknown", "there is no such field")
    for name, info in _FIELDS.items():
        try:
            if name in values:
                msgspec.convert(values[name], _HINTS[name], strict=strict)
            elif info.required:
                yield RowError(line, name, "missing", "this field is required")
        except msgspec.ValidationError as error:
            yield RowError(line, name, "invalid", str(error))


def _bad(line: int, field: str, code: str, detail: str) -> ImportRow:
    return ImportRow(line, None, (RowError(line, field, code, detail),))


def _too_long(line: int) -> Invalid:
    return Invalid("import.row_too_long", f"the row that begins on line {line} is longer than {LONGEST_ROW} bytes; what came before it was taken")
