"""ClickHouse's own engine (chdb) behind ClickHouse's HTTP interface: a process of its own that knows nothing of Torg and runs on what clickhouse.py installed.

    python -P clickhouse_server.py --port 28123 --data FOLDER --user torg --password-file FILE

Statements, settings, {name:Type} parameters, formats, inserts, sessions, errors with their codes and summaries are those of a server. Left out: compressed
answers, uploads of several parts, roles, and cancelling what its client no longer waits for (max_execution_time ends it)."""

from __future__ import annotations

import argparse
import base64
import gzip
import hmac
import itertools
import json
import os
import re
import signal
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

STATEMENT_SECONDS = 60  # unless a request says otherwise
IDLE_CONNECTIONS = 16
SESSION_SECONDS = 60
END_SECONDS = 20
NOT_SETTINGS = frozenset(
    "query database default_format user password session_id session_timeout session_check query_id quota_key role compress decompress buffer_size "
    "wait_end_of_query enable_http_compression http_headers_progress_interval_ms send_progress_in_http_headers client_protocol_version".split()
)
STATUS_OF_CODE = {
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 53, 62, 69, 72, 117, 130, 131, 321, 456, 457), 400), 193: 403, 192: 403, 194: 401, 516: 403, 497: 403, 164: 403,
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 81, 115, 390, 391), 404), 48: 501, 373: 423,
}  # fmt: skip
INSERT = re.compile(rb"\A\s*insert\s+into\s.*?\bformat\s+([A-Za-z][A-Za-z0-9]*)[ \t\r;]*(?:\n|\Z)", re.IGNORECASE | re.DOTALL)
INSERT_VALUES = re.compile(rb"\A\s*insert\s+into\s.*?\b(values|select|with)\b", re.IGNORECASE | re.DOTALL)


class Refused(Exception):
    """An error of the interface itself, with ClickHouse's code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(f"Code: {code}. DB::Exception: {sentence}")


@dataclass
class Done:
    """What a statement brought."""

    body: bytes = b""
    summary: dict[str, str] = field(default_factory=dict)


@dataclass
class Session:
    """A connection that one client keeps: its settings and temporary tables live as long."""

    connection: Any
    seconds: float
    until: float = 0
    turn: threading.Lock = field(default_factory=threading.Lock)


class Engine:
    """The engine in this process: connections by what they are set to, each used by one request at a time."""

    def __init__(self, folder: Path) -> None:
        from chdb.state import connect  # type: ignore[import-not-found]  # in the engine's own packages

        self._connect, self._folder = connect, str(folder)
        self._first = connect(self._folder)  # stays: the engine ends with its last connection
        self.version = str(self._first.query("select version()", "TSVRaw").bytes(), "utf-8").strip()
        self._idle: list[tuple[tuple[tuple[str, str], ...], Any]] = []
        self._sessions: dict[str, Session] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        """Ends it in order; nothing may be running."""
        for connection in [*(kept for _, kept in self._idle), *(session.connection for session in self._sessions.values()), self._first]:
            connection.close()

    @contextmanager
    def connection(self, settings: Mapping[str, str], session_id: str = "", seconds: float = SESSION_SECONDS) -> Iterator[Any]:
        """One that is set so, for one request."""
        if session_id:
            with self._session(session_id, seconds) as kept:
                _set(kept, settings)
                yield kept
            return
        key = tuple(sorted(settings.items()))
        connection = self._take(key)
        if connection is None:
            connection = self._connect(self._folder)
            try:
                _set(connection, settings)
            except BaseException:
                connection.close()
                raise
        yield connection
        self._keep(key, connection)

    def _take(self, key: tuple[tuple[str, str], ...]) -> Any:
        with self._guard:
            place = next((n for n, (known, _) in enumerate(self._idle) if known == key), None)
            return self._idle.pop(place)[1] if place is not None else None

    def _keep(self, key: tuple[tuple[str, str], ...], connection: Any) -> None:
        with self._guard:
            self._idle.append((key, connection))
            dropped = self._idle.pop(0)[1] if len(self._idle) > IDLE_CONNECTIONS else None
        if dropped:
            dropped.close()

    @contextmanager
    def _session(self, session_id: str, seconds: float) -> Iterator[Any]:
        with self._guard:
            for name in [name for name, old in self._sessions.items() if old.until and old.until < time.monotonic()]:
                self._sessions.pop(name).connection.close()
            session = self._sessions.setdefault(session_id, Session(None, seconds))
            if not session.turn.acquire(blocking=False):
                raise Refused(373, f"Session {session_id} is locked by a concurrent client. (SESSION_IS_LOCKED)")
            session.until = 0
        try:
            session.connection = session.connection or self._connect(self._folder)
            yield session.connection
        finally:
            session.until = time.monotonic() + session.seconds
            session.turn.release()


def _set(connection: Any, settings: Mapping[str, str]) -> None:
    if database := settings.get("database"):
        connection.query(f"use `{database.replace('`', '')}`")
    assigned = [f"{name} = {_literal(value)}" for name, value in settings.items() if name != "database" and re.fullmatch(r"\w+", name)]
    if assigned:
        connection.query(f"set {', '.join(assigned)}")


def _literal(value: str) -> str:
    if re.fullmatch(r"-?\d+(\.\d+)?", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def run(connection: Any, statement: bytes, data: bytes, parameters: Mapping[str, str], default_format: str) -> Done:
    """Runs one statement; `data` are an insert's rows."""
    began = time.perf_counter()
    inserted = INSERT.match(statement)
    if inserted and not INSERT_VALUES.match(inserted.group()):
        return _insert(connection, inserted, statement, data, began)
    text = (statement + b"\n" + data if data else statement).decode("utf-8", "surrogateescape")
    result = connection.query(text, default_format, params=dict(parameters))
    wrote = int(result.rows_written())
    summary = {"read_rows": int(result.rows_read()), "read_bytes": int(result.bytes_read()), "written_rows": wrote, "result_rows": wrote}
    return Done(result.bytes(), _summary(summary, began))


def _insert(connection: Any, head: re.Match[bytes], statement: bytes, data: bytes, began: float) -> Done:
    """The text up to `FORMAT Name` is the statement, whatever follows is rows."""
    rows = statement[head.end() :] + data
    text = head.group()[: head.start(1) - head.start()].decode()
    into = connection.send_insert(re.sub(r"\bformat\s*\Z", "", text, flags=re.IGNORECASE), head.group(1).decode())
    try:
        into.append(rows)
        wrote = int(into.finish().rows_written)
    except BaseException:
        _cancel(into)
        raise
    return Done(b"", _summary({"read_rows": wrote, "written_rows": wrote, "written_bytes": len(rows), "result_rows": wrote}, began))


def _cancel(insert: Any) -> None:
    from chdb import ChdbError  # type: ignore[import-not-found]

    with suppress(ChdbError, RuntimeError):  # it may be over already; the error that led here is the one to tell
        insert.cancel()


def _summary(numbers: Mapping[str, int], began: float) -> dict[str, str]:
    return {name: str(number) for name, number in numbers.items()} | {"elapsed_ns": str(int((time.perf_counter() - began) * 1e9))}


def unpacked(body: bytes, encoding: str) -> bytes:
    """A body as it was before its Content-Encoding."""
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            return zlib.decompress(body)
        case "lz4":
            return _unpacked_lz4(body)
        case other:
            raise Refused(48, f"Content-Encoding {other!r} is not understood here; gzip, deflate and lz4 are. (NOT_IMPLEMENTED)")


def _unpacked_lz4(body: bytes) -> bytes:
    try:
        import lz4.frame  # type: ignore[import-untyped]
    except ImportError as error:
        raise Refused(48, f"lz4 is not understood by this installation: {error}. (NOT_IMPLEMENTED)") from error
    plain: bytes = lz4.frame.decompress(body)
    return plain


class Handler(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300
    server: Server

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        asked = dict(parse_qsl(target.query, keep_blank_values=True))
        if target.path in ("/ping", "/replicas_status") or (target.path == "/" and not asked.get("query")):
            self._answer(200, b"Ok.\n", {})
        else:
            self._serve(asked | {"readonly": asked.get("readonly", "2")}, b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        try:
            body = self._body()
        except Refused as refusal:
            self._fail(str(refusal), "")
            return
        self._serve(dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True)), body)

    def _serve(self, asked: dict[str, str], body: bytes) -> None:
        query_id = asked.get("query_id") or self.headers.get("X-ClickHouse-Query-Id") or self.server.next_id()
        with self.server.busy():
            try:
                self._let_in(asked)
                done = self._run(asked, body)
            except Refused as refusal:
                self._fail(str(refusal), query_id)
            except Exception as error:  # noqa: BLE001 whatever the engine says of a statement is its client's to hear
                self._fail(str(error), query_id)
            else:
                told = {"X-ClickHouse-Summary": json.dumps(done.summary), "X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Timezone": "UTC"}
                self._answer(200, done.body, told)

    def _run(self, asked: dict[str, str], body: bytes) -> Done:
        statement, data = (asked["query"].encode(), body) if asked.get("query") else (body, b"")
        if not statement.strip():
            raise Refused(62, "Empty query. (SYNTAX_ERROR)")
        settings = {"max_execution_time": str(STATEMENT_SECONDS)}
        settings |= {name: value for name, value in asked.items() if name not in NOT_SETTINGS and not name.startswith("param_")}
        if database := asked.get("database") or self.headers.get("X-ClickHouse-Database"):
            settings["database"] = database
        parameters = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
        chosen = asked.get("default_format") or self.headers.get("X-ClickHouse-Format") or "TabSeparated"
        seconds = float(asked.get("session_timeout") or SESSION_SECONDS)
        with self.server.engine.connection(settings, asked.get("session_id", ""), seconds) as connection:
            return run(connection, statement, data, parameters, chosen)

    def _let_in(self, asked: Mapping[str, str]) -> None:
        user, password = asked.get("user", ""), asked.get("password", "")
        if named := self.headers.get("X-ClickHouse-User"):
            user, password = named, self.headers.get("X-ClickHouse-Key", "")
        elif (basic := self.headers.get("Authorization", "")).startswith("Basic "):
            user, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        known = hmac.compare_digest(password.encode(), self.server.password.encode())
        if user != self.server.user or not known:
            raise Refused(516, f"{user or 'default'}: Authentication failed: wrong password, or no user of that name. (AUTHENTICATION_FAILED)")

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raw = b"".join(self._chunks())
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return unpacked(raw, self.headers.get("Content-Encoding", ""))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers

    def _fail(self, sentence: str, query_id: str) -> None:
        found = re.search(r"Code: (\d+)\.", sentence)
        code = int(found.group(1)) if found else 1002
        text = f"{sentence[found.start() if found else 0 :].rstrip()} (version {self.server.engine.version} (chdb))\n"
        self._answer(STATUS_OF_CODE.get(code, 500), text.encode(), {"X-ClickHouse-Exception-Code": str(code), "X-ClickHouse-Query-Id": query_id})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=UTF-8", "X-ClickHouse-Server-Display-Name": "torg", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        if self.server.chatty:
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {format % args}\n")


class Server(ThreadingHTTPServer):
    """A thread a client; `busy` says how many statements run."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, port: int, engine: Engine, user: str, password: str, chatty: bool) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.user, self.password, self.chatty = engine, user, password, chatty
        self._running, self._changed, self._served = 0, threading.Condition(), itertools.count(1)
        self._ending = False

    def next_id(self) -> str:
        """Names a statement whose client did not."""
        return f"{os.getpid()}-{next(self._served)}"

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around a statement, so that the end can wait for it."""
        with self._changed:
            if self._ending:
                raise ConnectionAbortedError("the server ends")
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def drain(self, seconds: float) -> bool:
        """Lets nothing new begin and waits for what runs; whether all of it ended."""
        with self._changed:
            self._ending = True
            return self._changed.wait_for(lambda: not self._running, seconds)

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):  # clients come and go
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def main() -> None:
    """Serves until it is told to end (SIGTERM, SIGINT)."""
    given = argparse.ArgumentParser(description="ClickHouse's engine over HTTP")
    given.add_argument("--port", type=int, required=True)
    given.add_argument("--data", type=Path, required=True)
    given.add_argument("--user", required=True)
    given.add_argument("--password-file", type=Path, required=True)
    given.add_argument("--chatty", action="store_true", help="write a line for each request")
    options = given.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    engine = Engine(options.data)
    server = Server(options.port, engine, options.user, options.password_file.read_text().strip(), options.chatty)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stderr.write(f"ClickHouse {engine.version} answers at 127.0.0.1:{options.port}\n")
    ended.wait()
    server.shutdown()
    server.server_close()
    if server.drain(END_SECONDS):
        engine.close()
    sys.stderr.write("ended\n")


if __name__ == "__main__":
    main()
