"""Routes as data: a method and path, the message it becomes, who may ask, and what the answer looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torg.kit.http.admission import Urgency
from torg.kit.http.request import Request, Response
from torg.kit.messages import Message, Query

API = "/api/v1"
Endpoint = Callable[[Request], Awaitable[Response]]
Fill = Callable[[Request], Any]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One row of the API.

    Fields of `message` come from: the identity (by type), the language (by type), the path, `fill`, and what is left from the body
    (POST, PUT, PATCH) or the query. `endpoint` stands in for the message's own handler where HTTP needs more (streams, cookies); then
    `answer` names the reply's type for the description. `cached` is how many seconds the edge may keep the answer for everyone;
    `tags` name what its keeping depends on. `etag` adds one and answers If-None-Match.
    `idempotency_field` names the hidden field in which a page's form carries its key: sent twice, it takes effect once.
    `refusal` is the type of what it says instead of a problem, where another standard asks for that.
    `also` are refusals that come with the answer itself.
    `about` asks for what the route changes, by the values of its path: the audit trail has it as it was and as it is.
    Else it has what was answered, but for what may not be kept anywhere; of such an answer all but the fields `unfiled`.
    `audited` is False for what is not worth a line when staff do it: renewing a session, choosing a language.
    `urgency` is its rank under too much load; what only staff may ask is always answered.
    `right` is what one needs to ask for it (see access.py), and a program has to be lent; `asks` says that the endpoint looks for it by itself: pages that
    send guests to sign in."""

    method: str
    path: str
    message: type[Message] | None = None
    endpoint: Endpoint | None = None
    right: str
    asks: bool = False
    status: int = 200
    idempotency: Literal["no", "accepted", "required"] = "no"
    idempotency_field: str = ""
    fill: Mapping[str, Fill] = field(default_factory=dict)
    location: Callable[[Any], str] | None = None
    reply_headers: Callable[[Any], list[tuple[str, str]]] | None = None
    etag: bool = False
    cached: float = 0
    tags: Callable[[Mapping[str, str]], tuple[str, ...]] = lambda _: ()
    answer: Any = None
    media: str = "application/json"
    summary: str = ""
    body: Any = None
    body_media: tuple[str, ...] = ()
    body_limit: int = 1 << 20
    public: bool = True
    refuses: tuple[int, ...] = ()
    refusal: Any = None
    also: tuple[int, ...] = ()
    audited: bool = True
    about: type[Query[Any]] | None = None
    unfiled: tuple[str, ...] = ()
    urgency: Urgency = Urgency.BROWSING


def get(path: str, message: type[Message] | None = None, **more: Any) -> Route:
    return Route(method="GET", path=API + path, message=message, **more)


def post(path: str, message: type[Message] | None = None, **more: Any) -> Route:
    return Route(method="POST", path=API + path, message=message, **more)


def put(path: str, message: type[Message] | None = None, **more: Any) -> Route:
    return Route(method="PUT", path=API + path, message=message, **more)


def patch(path: str, message: type[Message] | None = None, **more: Any) -> Route:
    return Route(method="PATCH", path=API + path, message=message, **more)


def delete(path: str, message: type[Message] | None = None, **more: Any) -> Route:
    return Route(method="DELETE", path=API + path, message=message, **{"status": 204, **more})


def page(path: str, endpoint: Endpoint, method: str = "GET", **more: Any) -> Route:
    """A page for people: outside the API's prefix and its description."""
    return Route(method=method, path=path, endpoint=endpoint, public=False, media="text/html", **more)


class Router:
    """Finds the route of a path, segment by segment; a literal goes before a {name}."""

    def __init__(self) -> None:
        self._root: dict[str, Any] = {}

    def add(self, method: str, path: str, target: Any) -> None:
        node, names = self._root, []
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
            node = node.setdefault(_ANY if segment.startswith("{") else segment, {})
        methods = node.setdefault(_HERE, {})
        if method in methods:
            raise ValueError(f"two routes answer {method} {path}")
        methods[method] = (target, tuple(names))

    def find(self, path: str) -> tuple[dict[str, tuple[Any, tuple[str, ...]]], list[str]] | None:
        """The targets of a path by method, and the path's values; None for a path that nothing answers."""
        return _descend(self._root, path.strip("/").split("/"), 0, [])


_HERE, _ANY = "/", "/*"  # the keys of a node's own methods and of what any segment leads to: no segment has a slash


def _descend(node: dict[str, Any], segments: list[str], at: int, values: list[str]) -> tuple[dict[str, Any], list[str]] | None:
    if at == len(segments):
        return (node[_HERE], values) if _HERE in node else None
    segment = segments[at]
    if segment in node and (found := _descend(node[segment], segments, at + 1, values)):
        return found
    return _descend(node[_ANY], segments, at + 1, [*values, segment]) if segment and _ANY in node else None
