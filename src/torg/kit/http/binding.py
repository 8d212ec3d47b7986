"""From a request to a message: which field comes from where, and every bad field named at once."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from torg.kit.auth import Identity
from torg.kit.errors import DomainError, FieldError, Invalid, Malformed, Unauthenticated, UnsupportedMediaType
from torg.kit.http.request import Request
from torg.kit.http.routes import Route
from torg.kit.messages import Message, broken_rules
from torg.kit.values import Clock, Language

WITH_BODY = ("POST", "PUT", "PATCH")
Filler = Callable[[Request], Any]


class Binding:
    """How one route's message is put together."""

    def __init__(self, route: Route, clock: Clock) -> None:
        assert route.message is not None, f"{route.path} has no message to bind"
        self.kind: type[Message] = route.message
        self._clock, self._path = clock, {part[1:-1] for part in route.path.split("/") if part.startswith("{")}
        self.hints, fields = _described(self.kind)
        self._fillers: dict[str, Filler] = {}
        for info in fields:
            if filler := self._filler(route, info.name, self.hints[info.name]):
                self._fillers[info.name] = filler
        rest = tuple(info.name for info in fields if info.name not in self._fillers)
        self.from_body = route.method in WITH_BODY
        self.path_hints = {name: self.hints[name] for name in self._path if name in self.hints}
        self.rest, self._decoder = _rest_of(self.kind, rest)
        self._encoded = {info.encode_name: info.name for info in fields if info.name in rest}
        self._rest_hints = {name: self.hints[name] for name in rest}
        self.has_rest = bool(rest)

    async def bind(self, request: Request) -> Message:
        """The message a request stands for. Raises Malformed, Invalid, UnsupportedMediaType or TooLarge."""
        rest = await self._read_body(request) if self.from_body else self._read_query(request)
        values = {name: filler(request) for name, filler in self._fillers.items()}
        for name, value in msgspec.structs.asdict(rest).items():
            values[name] = value
        if self.kind.RULES and (faults := broken_rules(values.items(), self.kind.RULES, self._clock())):
            raise Invalid.fields(*faults)
        return self.kind(**values)

    def _filler(self, route: Route, name: str, hint: Any) -> Filler | None:
        if name in route.fill:
            return route.fill[name]
        if name in self._path:
            return lambda request: _path_value(request.path_values[name], name, hint)
        if hint is Identity:
            return signed_in
        if _is_optional(hint, Identity):
            return lambda request: request.identity
        return Request.language if hint is Language else None

    def _read_query(self, request: Request) -> Any:
        given = request.query() if request.query_string else {}
        try:
            return msgspec.convert(given, self.rest, strict=False)
        except msgspec.ValidationError as error:
            raise self._all_faults(given, error, strict=False) from error

    async def _read_body(self, request: Request) -> Any:
        body = await request.body()
        if not self.has_rest and not body:
            return self.rest()
        if body and not request.headers.get(b"content-type", b"").lower().startswith(b"application/json"):
            raise UnsupportedMediaType("body.media_type", "send the body as application/json")
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise self._all_faults(_json(body), error, strict=True) from error

    def _all_faults(self, given: Any, first: Exception, strict: bool) -> DomainError:
        """msgspec stops at the first fault; a form that was filled in badly wants all of them."""
        if not isinstance(given, dict):
            return Invalid.fields(FieldError("", "type", "the body must be a JSON object"))
        faults = [FieldError(name, "unknown", "there is no such field") for name in given if name not in self._encoded]
        values: list[tuple[str, Any]] = []
        for encoded, name in self._encoded.items():
            try:
                if encoded in given:
                    values.append((name, msgspec.convert(given[encoded], self._rest_hints[name], strict=strict)))
                elif _required(self.rest, name):
                    faults.append(FieldError(encoded, "missing", "this field is required"))
            except msgspec.ValidationError as error:
                faults.append(FieldError(encoded, "invalid", str(error)))
        faults += broken_rules(values, self.kind.RULES, self._clock())
        return Invalid.fields(*(faults or [FieldError("", "invalid", str(first))]))


@cache
def _described(kind: type[Message]) -> tuple[dict[str, Any], tuple[msgspec.structs.FieldInfo, ...]]:
    return get_type_hints(kind, include_extras=True), msgspec.structs.fields(kind)


@cache
def _rest_of(kind: type[Message], names: tuple[str, ...]) -> tuple[Any, msgspec.json.Decoder[Any]]:
    """What of a message comes in a body or query, as a struct of its own."""
    hints, fields = _described(kind)
    chosen = [info for info in fields if info.name in names]
    rename = {info.name: info.encode_name for info in chosen if info.name != info.encode_name}
    made: Any = msgspec.defstruct(
        f"{kind.__name__}Body", [_field(info, hints[info.name]) for info in chosen], forbid_unknown_fields=True, kw_only=True, frozen=True, rename=rename
    )
    return made, msgspec.json.Decoder(made)


def _field(info: msgspec.structs.FieldInfo, hint: Any) -> tuple[str, Any, Any]:
    default = info.default if info.default is not msgspec.NODEFAULT else msgspec.NODEFAULT
    if info.default_factory is not msgspec.NODEFAULT:
        return info.name, hint, msgspec.field(default_factory=info.default_factory)
    return info.name, hint, msgspec.field(default=default)


def _required(kind: Any, name: str) -> bool:
    return any(info.name == name and info.required for info in msgspec.structs.fields(kind))


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Malformed("body.malformed", f"the body is not JSON: {error}") from error


def signed_in(request: Request) -> Identity:
    """Who asks. Raises Unauthenticated for a guest."""
    if request.identity is None:
        raise Unauthenticated("session.required", "sign in first")
    return request.identity


def _path_value(text: str, name: str, hint: Any) -> Any:
    """Whoever serves has decoded the path: what looks encoded now is meant so."""
    try:
        return msgspec.convert(text, hint, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid.fields(FieldError(name, "invalid", str(error))) from error


def _is_optional(hint: Any, kind: type) -> bool:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return get_origin(hint) in (Union, types.UnionType) and set(get_args(hint)) == {kind, type(None)}
