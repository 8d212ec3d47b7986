"""Asks ClickHouse over its HTTP interface, with the client library the shop has anyway.

ClickHouse's own client (clickhouse-connect 1.12) took 0.9 ms of CPU for a report's answer of 24 rows where this takes 0.3, and three times as long; inserts
cost both the same, since facts are queued as the text that is sent. It would bring a codec for every type there is; here are five."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec

from torg.kit.errors import Unavailable
from torg.kit.sql.statements import rewritten

CONNECT_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 10.0
WORK_SECONDS: Final = 120.0  # for what writes
CONNECTIONS: Final = 8
_BUSY: Final = frozenset({159, 160, 202, 209, 210, 241, 242, 252, 279, 285, 319, 394, 439, 999})
"""Codes of a server that could not now: time-outs, too many queries or parts, memory, network, a read-only or lagging replica, Keeper."""
_INSERTING: Final = {
    "async_insert": "0",  # callers gather rows themselves, and what is acknowledged must be there for the next statement to see
    "max_partitions_per_insert_block": "0",  # a history of ten years may come in one batch
    "date_time_input_format": "best_effort",
}
_TYPES: Final[Mapping[type, str]] = {str: "String", int: "Int64"}


class ClickHouseRefused(Exception):
    """ClickHouse understood the question and says that it is wrong: a defect here, or a right that the user lacks. `code` is ClickHouse's."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True)
class Address:
    """Where it is, as clickhouse://user:password@host:port/database says; clickhouses:// for TLS."""

    base: str
    user: str
    password: str
    database: str

    @classmethod
    def of(cls, url: str) -> Address:
        """Raises ValueError with a sentence when it is no such URL."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("it names no host: clickhouse://user:password@host:port/database is the form")
        secure = parts.scheme == "clickhouses"
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        base = f"{'https' if secure else 'http'}://{host}:{parts.port or (8443 if secure else 8123)}"
        return cls(base, unquote(parts.username or "default"), unquote(parts.password or ""), parts.path.strip("/") or "default")


class ClickHouse:
    """One database of a server. Connections are made when they are needed. Raises Unavailable where the server is away or overloaded."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    async def all(self, statement: str, **parameters: Any) -> Sequence[Mapping[str, Any]]:
        """Rows by column name, whole numbers and text; :named parameters, text or whole numbers."""
        bound = {f"param_{name}": _escaped(value) for name, value in parameters.items()}
        text = rewritten(statement, lambda name: f"{{{name}:{_TYPES[type(parameters[name])]}}}")
        body = await self._post(text.encode(), ANSWER_SECONDS, default_format="JSONEachRow", output_format_json_quote_64bit_integers="0", **bound)
        return [_row(line) for line in body.splitlines()]

    async def execute(self, statement: str, **settings: str) -> None:
        """Runs what changes something, to its end."""
        await self._post(statement.encode(), WORK_SECONDS, **settings)

    async def insert(self, table: str, lines: bytes) -> None:
        """Adds rows, each a line with a JSON array of the table's columns in their order (or of those named behind the table, in brackets)."""
        await self._post(f"insert into {table} format JSONCompactEachRow\n".encode() + lines, WORK_SECONDS, **_INSERTING)

    async def make_database(self) -> None:
        """Where it is missing and the user may."""
        try:
            await self._post(f"create database if not exists `{self._address.database}`".encode(), WORK_SECONDS, database="default")
        except ClickHouseRefused as refusal:
            if refusal.code != _ACCESS_DENIED:
                raise

    async def fault(self) -> str:
        """An empty text when it answers, else what is wrong."""
        try:
            await self.all("select 1")
        except Unavailable as away:
            return away.detail
        except ClickHouseRefused as refusal:
            return str(refusal)
        return ""

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _post(self, body: bytes, seconds: float, **asked: str) -> bytes:
        """`wait_end_of_query` has the server find out whether all went well before it says so."""
        asked = {"database": self._address.database, "max_execution_time": f"{seconds:.0f}", "wait_end_of_query": "1", **asked}
        try:
            async with self._open().post("/", params=asked, data=body, timeout=aiohttp.ClientTimeout(total=seconds + 1, connect=CONNECT_SECONDS)) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"ClickHouse at {self._address.base} does not answer: {error or type(error).__name__}") from error
        if answer.status != 200:
            raise self._refusal(answer.status, answer.headers.get("X-ClickHouse-Exception-Code", ""), said)
        return said

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"X-ClickHouse-User": self._address.user, "X-ClickHouse-Key": self._address.password, "User-Agent": "torg"}
            self._session = aiohttp.ClientSession(self._address.base, headers=headers, connector=aiohttp.TCPConnector(limit=CONNECTIONS))
        return self._session

    def _refusal(self, status: int, code: str, said: bytes) -> Exception:
        text = said.decode(errors="replace").strip()
        found = int(code) if code.isdecimal() else 0
        if not found or found in _BUSY or status in (502, 503, 504):  # no code: a proxy in between
            return Unavailable(f"ClickHouse at {self._address.base} cannot now (status {status}): {text[:300]}")
        return ClickHouseRefused(found, f"ClickHouse at {self._address.base} refuses: {text[:2000]}")


_ACCESS_DENIED: Final = 497
_row = msgspec.json.Decoder(dict[str, Any]).decode
_SPECIAL: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0", "\b": "\\b", "\f": "\\f"}


def _escaped(value: str | int) -> str:
    """As parameters travel: like a field of a tab-separated file."""
    return re.sub(r"[\\\t\n\r\0\x08\f]", lambda found: _SPECIAL[found.group()], value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    """As a literal in a statement."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
