"""What is read by programmers, robots and browsers: the API's reference, the events' catalogue, static files, and the small files of a good site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from torg.contexts.web.ports import WebDeps
from torg.contexts.web.routes.visit import Visit
from torg.kit.errors import NotFound
from torg.kit.http import Request, Response
from torg.kit.http.request import Headers

TEXT = (b"content-type", b"text/plain; charset=utf-8")
FOREVER = (b"cache-control", b"public, max-age=31536000, immutable")
FOR_A_DAY = (b"cache-control", b"public, max-age=86400")
VALID_FOR = timedelta(days=180)
PRIVATE_PAGES = ("/cart", "/checkout", "/orders", "/profile", "/wallet", "/notifications", "/sign-in", "/register", "/search", "/api/", "/admin/")


async def api(visit: Visit) -> Response:
    document = await _openapi(visit)
    return await visit.page("docs.html", document=document, groups=_groups(document), components=document["components"]["schemas"])


async def events(visit: Visit) -> Response:
    document: Any = await visit.deps.describe["asyncapi"]()
    components = document["components"]
    return await visit.page("docs_events.html", document=document, messages=components["messages"], components=components["schemas"])


async def _openapi(visit: Visit) -> Any:
    return await visit.deps.describe["openapi"]()


def _groups(document: Mapping[str, Any]) -> Sequence[tuple[str, list[tuple[str, str, Mapping[str, Any]]]]]:
    """The operations by tag, as (method, path, operation)."""
    groups: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            groups[operation["tags"][0]].append((method.upper(), path, operation))
    return list(groups.items())


def shape(schema: Mapping[str, Any]) -> str:
    """What a value looks like, in a word or two."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(shape(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(one) for one in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {shape(schema['items'])}" if isinstance(schema.get("items"), dict) else "list"
    if isinstance(schema.get("additionalProperties"), dict) and schema["additionalProperties"]:
        return f"map of {shape(schema['additionalProperties'])}"
    return str(schema.get("format", kind)) if kind == "string" else kind


def bounds(schema: Mapping[str, Any]) -> str:
    """What limits a value, in the schema's own words."""
    names = ("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "default")
    return ", ".join(f"{name} {schema[name]!r}" if name == "default" else f"{name} {schema[name]}" for name in names if name in schema)


def named(schema: Mapping[str, Any]) -> str:
    """The component that a schema is, or is a list of; empty for none."""
    inner: Any = schema.get("items") if isinstance(schema.get("items"), dict) else schema
    return str(inner.get("$ref", "")).rpartition("/")[2]


async def static(request: Request, deps: WebDeps) -> Response:
    name = request.path_values["name"]
    found = deps.statics.get(name)
    if found is None:
        raise NotFound("static.not_found", f"there is no file {name}")
    headers: Headers = [(b"content-type", found.media.encode()), FOREVER, (b"vary", b"accept-encoding")]
    if b"gzip" in request.headers.get(b"accept-encoding", b""):
        return Response(200, found.gzipped, [*headers, (b"content-encoding", b"gzip")])
    return Response(200, found.body, headers)


async def favicon(_: Request, deps: WebDeps) -> Response:
    icon = next(one for name, one in deps.statics.items() if name.startswith("favicon."))
    return Response(200, icon.body, [(b"content-type", icon.media.encode()), FOR_A_DAY])


async def robots(_: Request, deps: WebDeps) -> Response:
    lines = ["User-agent: *", *(f"Disallow: {path}" for path in PRIVATE_PAGES), ""]
    return Response(200, "\n".join(lines).encode(), [TEXT, FOR_A_DAY])


async def security(_: Request, deps: WebDeps) -> Response:
    """RFC 9116. Whoever runs the shop is told in the place where the shop itself is looked after."""
    expires = (deps.clock() + VALID_FOR).strftime("%Y-%m-%dT00:00:00Z")
    canonical = f"Canonical: {deps.public_url}/.well-known/security.txt"
    lines = ["Contact: mailto:security@torg.example", f"Expires: {expires}", "Preferred-Languages: en, ru", canonical, ""]
    return Response(200, "\n".join(lines).encode(), [TEXT, FOR_A_DAY])
