"""One process's way to Elasticsearch: a deadline on every request, JSON by msgspec, Unavailable when it doesn't answer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from elastic_transport import Serializer
from elasticsearch import ApiError, AsyncElasticsearch, TransportError, UnsupportedProductError
from elasticsearch.helpers import async_streaming_bulk

from torg.kit.errors import Unavailable

SCHEMES = {"elasticsearch": "http", "elasticsearch+https": "https"}
PORT = 9200
NAME = "torg-products"
ASKING, WRITING, ARRANGING = 0.0, 30.0, 60.0  # seconds that a batch, a new index or an alias may take; a search what the address says
CONNECTIONS = 32
BATCH, BATCH_BYTES = 500, 1_000_000  # more at once would hold up the event loop
REFUSED_FOR_NOW = (429, 502, 503, 504)
RETRIES = 3  # of what the server refused for being busy

T = TypeVar("T")
Action = tuple[dict[str, Any], bytes | None]
"""What to do with which document of which index, and its source."""


class BadAddress(ValueError):
    """The URL can't be one of Elasticsearch; the sentence says what would be right."""


@dataclass(frozen=True)
class Address:
    """`elasticsearch://host:9200,host2:9200/name`, `elasticsearch+https://user:password@host:9200/name?ca=/path/to/ca.crt&deadline=2`. The index is called by
    the name (torg-products) and the version of its fields; `deadline` is what a search may take, in seconds."""

    nodes: tuple[str, ...]
    user: str = ""
    password: str = ""
    name: str = NAME
    ca: str = ""
    deadline: float = 2.0

    @classmethod
    def read(cls, url: str) -> Address:
        """Raises BadAddress."""
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise BadAddress(f"it begins with {parts.scheme or url!r}, known are {', '.join(f'{scheme}://host:{PORT}' for scheme in SCHEMES)}")
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        nodes = tuple(f"{SCHEMES[parts.scheme]}://{host}{'' if _has_port(host) else f':{PORT}'}" for host in hosts.split(",") if host)
        if not nodes:
            raise BadAddress(f"it names no host; known are {', '.join(f'{scheme}://host:{PORT}' for scheme in SCHEMES)}")
        more = {name: values[0] for name, values in parse_qs(parts.query).items()}
        try:
            deadline = float(more.get("deadline", cls.deadline))
        except ValueError as error:
            raise BadAddress(f"its deadline is {more['deadline']!r}, it must be seconds, like 2.5") from error
        return cls(nodes, unquote(user), unquote(password), parts.path.strip("/") or NAME, more.get("ca", ""), deadline)


class Json(Serializer):
    """Answers stay bytes, for whoever asked to read them by type; what goes out may be bytes already."""

    mimetype: ClassVar[str] = "application/json"

    def loads(self, data: bytes) -> bytes:
        return data

    def dumps(self, data: Any) -> bytes:
        return data if isinstance(data, bytes) else msgspec.json.encode(data)


class PlainJson(Json):
    """As the client's own helpers want it: answers as dicts."""

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)


class Lines(Serializer):
    """Bulks and searches by the dozen: a document a line."""

    mimetype: ClassVar[str] = "application/x-ndjson"

    def loads(self, data: bytes) -> Any:
        return [msgspec.json.decode(line) for line in data.splitlines() if line]

    def dumps(self, data: Iterable[Any]) -> bytes:
        return b"".join(
            line + b"\n" for line in (one if isinstance(one, bytes) else one.encode() if isinstance(one, str) else msgspec.json.encode(one) for one in data)
        )


class Refused(Exception):
    """It answered, but not with what was asked for: its status, and the type and reason that it gives."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(f"Elasticsearch refused with {status} {kind}: {reason}")
        self.status, self.kind = status, kind


class Connection:
    """Requests to one cluster. Raises Unavailable, and Refused for what asking again can't mend."""

    def __init__(self, address: Address) -> None:
        logging.getLogger("elastic_transport").setLevel(logging.ERROR)  # it would tell of every failed request, which whoever asked tells already
        login = {"basic_auth": (address.user, address.password)} if address.user else {}
        trust = {"ca_certs": address.ca} if address.ca else {}
        common: dict[str, Any] = {"connections_per_node": CONNECTIONS, "max_retries": 0, "meta_header": False, **login, **trust}
        self._client = AsyncElasticsearch(list(address.nodes), serializers=_serializers(Json()), **common)
        self._bulks = AsyncElasticsearch(list(address.nodes), serializers=_serializers(PlainJson()), **common).options(request_timeout=WRITING)
        self._within = {deadline: self._client.options(request_timeout=deadline or address.deadline) for deadline in (ASKING, WRITING, ARRANGING)}

    async def close(self) -> None:
        await self._client.close()
        await self._bulks.close()

    async def ask(self, method: str, path: str, body: object = None, *, kind: type[T], deadline: float = ASKING) -> T:
        """The answer, read as `kind`."""
        return msgspec.json.decode(await self._send(method, path, body, deadline), type=kind)

    async def tell(self, method: str, path: str, body: object = None, *, deadline: float = ARRANGING, fine: Collection[str] = ()) -> bool:
        """Whether it was done; not when it was refused for one of the reasons that are `fine`."""
        try:
            await self._send(method, path, body, deadline)
        except Refused as refused:
            if refused.kind in fine:
                return False
            raise
        return True

    async def write(self, actions: Iterable[Action] | AsyncIterable[Action]) -> AsyncIterator[tuple[str, int, str]]:
        """Each action's document, status and, when it failed, reason. A busy server is asked again, later each time."""
        with _told():
            done = async_streaming_bulk(
                self._bulks, cast("Any", actions), expand_action_callback=_as_it_is, chunk_size=BATCH, max_chunk_bytes=BATCH_BYTES, raise_on_error=False,
                max_retries=RETRIES, initial_backoff=0.1, max_backoff=2,
            )  # fmt: skip
            async for _, result in done:
                (outcome,) = result.values()
                yield outcome["_id"], outcome["status"], str(outcome.get("error", ""))

    async def _send(self, method: str, path: str, body: object, deadline: float) -> bytes:
        headers: Mapping[str, str] = {"accept": Json.mimetype} if body is None else {"accept": Json.mimetype, "content-type": _media(body)}
        with _told():
            answer = await self._within[deadline].perform_request(method, path, headers=headers, body=body)
            content: bytes = answer.body
            return content


@contextmanager
def _told() -> Iterator[None]:
    """Failures of the client in our words."""
    try:
        yield
    except UnsupportedProductError as error:
        raise Unavailable("what answers at the search's address isn't Elasticsearch") from error
    except ApiError as error:
        status, kind, reason = error.meta.status, *_reason(error.body)
        if status in REFUSED_FOR_NOW:
            raise Unavailable(f"the search is overloaded or away: {status} {kind}") from error
        raise Refused(status, kind, reason) from error
    except TransportError as error:
        raise Unavailable(f"the search doesn't answer: {error.message}") from error


def _reason(body: Any) -> tuple[str, str]:
    """The type and reason in the body of an error."""
    try:
        read = msgspec.json.decode(body) if isinstance(body, bytes) else body
        error = read["error"]
        return str(error["type"]), str(error["reason"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return "unknown", str(body)[:200]


def _media(body: object) -> str:
    return Lines.mimetype if isinstance(body, list) else Json.mimetype


def _serializers(json: Json) -> dict[str, Serializer]:
    lines = Lines()
    return {
        "application/json": json, "application/vnd.elasticsearch+json": json, "application/x-ndjson": lines, "application/vnd.elasticsearch+x-ndjson": lines,
    }  # fmt: skip


def _as_it_is(action: Any) -> Any:
    return action


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]
