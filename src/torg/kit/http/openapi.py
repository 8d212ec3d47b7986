"""The API's description (OpenAPI 3.1) and the events' (AsyncAPI 3.0), both from the structs that are sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from torg.kit import errors
from torg.kit.access import Access
from torg.kit.errors import DomainError, Problem
from torg.kit.http.binding import Binding
from torg.kit.http.routes import API, Route
from torg.kit.messages import Event, Message, context_of, reply_type
from torg.kit.policy import OPENID
from torg.kit.values import utc_now

REF = "#/components/schemas/{name}"
STATUS = {name: str(kind.status) for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, DomainError)}
TITLES = {
    400: "Cannot be read", 401: "Sign-in needed", 403: "Not allowed", 404: "Not found, or somebody else's", 409: "Conflict with the current state",
    412: "It has changed meanwhile", 413: "Too large", 415: "Media type not supported", 422: "Some of it is not valid", 429: "Too many requests",
    431: "Headers too large", 503: "Not available right now",
}  # fmt: skip


def openapi(routes: Iterable[Route], version: str, server: str, access: Access | None = None) -> dict[str, Any]:
    """The document for all public routes; `access` says who has the right that each takes (None: as the shop's own policy has it)."""
    access = access or Access.of_the_shop()
    shown = [route for route in routes if route.public]
    bindings = {id(route): Binding(route, utc_now) for route in shown if route.message is not None}
    answers = {id(route): _answer(route) for route in shown}
    bodies = {id(route): _body(route, bindings.get(id(route))) for route in shown}
    refusals = [route.refusal for route in shown]
    kinds = [kind for kind in [*answers.values(), *bodies.values(), *refusals, Problem] if kind is not None]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    named = dict(zip(map(_key, kinds), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in shown:
        operation = _operation(route, bindings.get(id(route)), answers[id(route)], bodies[id(route)], named, access)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Torg", "version": version, "summary": "A marketplace's public API", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": server}],
        "tags": [{"name": tag} for tag in sorted({_tag(route) for route in shown})],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": _readable(components), "securitySchemes": _schemes(server, access)},
    }


def merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One description of all that these describe; what stands in several is the same in each, or is named for whose it is. Raises ValueError for none."""
    if not documents:
        raise ValueError("there is nothing to merge")
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for document in documents:
        own, renamed = document["components"]["schemas"], dict[str, str]()
        for name, schema in own.items():
            if schemas.setdefault(name, schema) != schema:
                renamed[name] = f"{_whose(document)}_{name}"
        part = _with_renamed(document, renamed) if renamed else document
        schemas |= {name: schema for name, schema in part["components"]["schemas"].items() if name not in schemas}
        for path, operations in part["paths"].items():
            paths.setdefault(path, {}).update(operations)
    tags = sorted({tag["name"] for document in documents for tag in document["tags"]})
    first = documents[0]
    components = {**first["components"], "schemas": dict(sorted(schemas.items()))}
    return {**first, "tags": [{"name": tag} for tag in tags], "paths": dict(sorted(paths.items())), "components": components}


def _whose(document: Mapping[str, Any]) -> str:
    """The tag of most of its operations."""
    tags = [tag for operations in document["paths"].values() for operation in operations.values() for tag in operation["tags"]]
    most: str = max(sorted(set(tags)), key=tags.count)
    return most


def _with_renamed(part: Any, renamed: Mapping[str, str]) -> Any:
    """The same with other names for some schemas, wherever they are referred to."""
    if isinstance(part, list):
        return [_with_renamed(item, renamed) for item in part]
    if not isinstance(part, dict):
        return part
    changed = {renamed.get(name, name): _with_renamed(value, renamed) for name, value in part.items()}
    if isinstance(reference := changed.get("$ref"), str):
        name = reference.rpartition("/")[2]
        changed["$ref"] = REF.format(name=renamed.get(name, name))
    return changed


def asyncapi(kinds: Iterable[type[Message]], version: str) -> dict[str, Any]:
    """All events, by the context in whose log they stand."""
    events = sorted((kind for kind in kinds if issubclass(kind, Event)), key=lambda kind: kind.NAME)
    schemas, components = msgspec.json.schema_components(events, ref_template=REF)
    contexts = sorted({context_of(kind) for kind in events})
    messages = {
        kind.NAME: {
            "name": kind.NAME,
            "title": kind.__name__,
            "summary": _sentence(kind),
            "contentType": "application/json",
            "payload": schema,
            "x-version": kind.VERSION,
        }
        for kind, schema in zip(events, schemas, strict=True)
    }
    channels = {
        context: {
            "address": f"torg.{context}",
            "description": f"The log of {context}, keyed by stream id; at least once, in order within a stream.",
            "messages": {kind.NAME: {"$ref": f"#/components/messages/{kind.NAME}"} for kind in events if context_of(kind) == context},
        }
        for context in contexts
    }
    operations = {f"follow_{context}": {"action": "send", "channel": {"$ref": f"#/channels/{context}"}} for context in contexts}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Torg's events", "version": version},
        "channels": channels,
        "operations": operations,
        "components": {"schemas": _readable(components), "messages": messages},
    }


def _schemes(server: str, access: Access) -> dict[str, Any]:
    """Who may ask: a person's session, a person's own program, somebody's program that a person has let in."""
    token, scopes = f"{server}/oauth/token", {name: scope.en for name, scope in access.policy.programs.scopes.items()}
    code = {"authorizationUrl": f"{server}/oauth/authorize", "tokenUrl": token, "refreshUrl": token, "scopes": scopes}
    client = {"tokenUrl": token, "scopes": {name: words for name, words in scopes.items() if name not in OPENID}}
    return {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "at+jwt"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        "oauth": {"type": "oauth2", "flows": {"authorizationCode": code, "clientCredentials": client}},
    }


def _answer(route: Route) -> Any:
    if route.answer is not None or route.message is None:
        return route.answer
    kind = reply_type(route.message)
    return None if kind is type(None) or kind is None else kind


def _body(route: Route, binding: Binding | None) -> Any:
    if route.body is not None:
        return route.body
    return binding.rest if binding and binding.from_body and binding.has_rest else None


def _key(kind: Any) -> str:
    return repr(kind) + str(id(kind))


def _operation(route: Route, binding: Binding | None, answer: Any, body: Any, named: Mapping[str, Any], access: Access) -> dict[str, Any]:
    guarded = not access.grants(None, route.right)
    operation: dict[str, Any] = {"operationId": _operation_id(route), "tags": [_tag(route)], "summary": route.summary or _sentence(route.message)}
    if parameters := _parameters(route, binding):
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {media: {"schema": named[_key(body)]} for media in route.body_media or ("application/json",)}}
    elif route.body_media:
        operation["requestBody"] = {"required": True, "content": {media: {"schema": {"type": "string"}} for media in route.body_media}}
    success: dict[str, Any] = {"description": "Done"}
    if answer is not None:
        success["content"] = {route.media: {"schema": named[_key(answer)]}}
    elif route.media != "application/json":
        success["content"] = {route.media: {}}
    problem = {"application/problem+json": {"schema": named[_key(Problem)]}}
    if route.refusal is not None:
        problem["application/json"] = {"schema": named[_key(route.refusal)]}
    refused = {
        str(status): {"description": TITLES[status], "content": problem | (success["content"] if status in route.also else {})}
        for status in _refusals(route, body is not None, guarded or not access.without_scope(route.right))
    }
    not_modified = {"304": {"description": "Not modified"}} if route.etag else {}
    operation["responses"] = {str(route.status): success, **not_modified, **refused}
    if description := _description(route, access.holders(route.right) if guarded else []):
        operation["description"] = description
    operation["x-right"] = route.right
    if guarded:
        scopes = access.scopes_for(route.right)
        operation["security"] = [{"bearer": []}, *([{"api_key": []}] if scopes else []), *({"oauth": [scope]} for scope in scopes)]
    return operation


def _description(route: Route, holders: Sequence[str]) -> str:
    """What the message says of itself, with HTTP's statuses for the errors it names; and who has the right to it."""
    said = re.sub(r"\b(R|r)aises\b", r"\1efused with", _paragraph(route.message))
    said = re.sub(r"\b[A-Z]\w+", lambda word: STATUS.get(word[0], word[0]), said)
    whose = f"Takes the right {route.right}: {', '.join(holders)}." if holders else ""
    return f"{said} {whose}".strip()


def _refusals(route: Route, has_body: bool, forbids: bool) -> list[int]:
    statuses = {400, 401, 422, 429, 431, 503, *route.refuses}
    if forbids:
        statuses.add(403)
    if "{" in route.path or route.method == "PUT":
        statuses.add(404)
    if route.method != "GET":
        statuses |= {409, 404}
    if has_body:
        statuses |= {413, 415}
    return sorted(statuses)


def _parameters(route: Route, binding: Binding | None) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", route.path)
    hints = binding.path_hints if binding else {}
    found = [{"name": name, "in": "path", "required": True, "schema": _schema(hints.get(name, str))} for name in names]
    if binding and not binding.from_body:
        for info in msgspec.structs.fields(binding.rest):
            schema = _schema(info.type) | ({"default": info.default} if not info.required and info.default else {})
            found.append({"name": info.encode_name, "in": "query", "required": info.required, "schema": schema})
    if route.idempotency != "no":
        schema = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
        found.append({"name": "Idempotency-Key", "in": "header", "required": route.idempotency == "required", "schema": schema})
    if 412 in route.refuses:
        found.append({"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}, "description": "The ETag that was edited"})
    return found


def _schema(kind: Any) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(kind)
    defined = schema.pop("$defs", {})
    reference = schema.pop("$ref", "")
    return {**schema, **defined.get(reference.rpartition("/")[2], {})}


def _operation_id(route: Route) -> str:
    return "_".join([route.method.lower(), *re.findall(r"\w+", route.path.removeprefix(API))]) or route.method.lower()


def _tag(route: Route) -> str:
    return (route.path.removeprefix(API).strip("/").partition("/")[0] or "shop").partition(".")[0]


def _sentence(kind: type[Any] | None) -> str:
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).capitalize() if kind else ""
    return _paragraph(kind) or words


def _paragraph(kind: type[Any] | None) -> str:
    """The first paragraph of a docstring, as one line; empty where there is none."""
    text = (kind.__doc__ or "").strip() if kind else ""
    return " ".join(text.split("\n\n")[0].split()) if not (kind and text.startswith(f"{kind.__name__}(")) else ""


def _readable(components: dict[str, Any]) -> dict[str, Any]:
    """Descriptions without the indentation of the docstrings that they were."""
    for schema in components.values():
        if "description" in schema:
            schema["description"] = " ".join(schema["description"].split())
    return components
