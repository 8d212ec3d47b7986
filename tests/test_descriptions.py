"""What the shop says of itself to programs: the API's description, the events', and the shapes of messages, which may only grow."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.message_schemas import RENEW, Shapes, breaches, kept, present
from torg import compose
from torg.kit.http import Route
from torg.kit.http.openapi import asyncapi, openapi
from torg.kit.http.routes import API
from torg.kit.messages import Event, Message, context_of
from torg.kit.settings import Settings

Document = dict[str, Any]
SUMMARY = re.compile(r"[A-Z\d][^\n]{2,89}[^.\s]$")
NAMED = re.compile(r"[A-Z][A-Za-z]*$")  # Foo_1 or a module's name in it would be the mark of a collision
KEY = re.compile(r"[A-Za-z0-9._-]+$")
BEYOND_DRAFT_7 = frozenset({"prefixItems", "$defs", "unevaluatedProperties", "dependentRequired"})


@dataclass(frozen=True)
class Described:
    """The composed application, in words."""

    routes: tuple[Route, ...]
    messages: tuple[type[Message], ...]
    api: Document
    events: Document

    def operations(self) -> Iterator[tuple[str, str, Document]]:
        for path, operations in self.api["paths"].items():
            for method, operation in operations.items():
                yield method, path, operation


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Described:
    return asyncio.run(_describe(tmp_path_factory.mktemp("described")))


async def _describe(folder: Path) -> Described:
    app = await compose.compose(Settings(data=str(folder), sync="OFF", password_memory_kib=8))
    try:
        routes, messages = tuple(app.http.routes), tuple(app.registry.types())
        return Described(routes, messages, _sent(openapi(routes, "1", "http://torg.test")), _sent(asyncapi(messages, "1")))
    finally:
        await app.close()


def _sent(document: object) -> Document:
    """As a client reads it."""
    return msgspec.json.decode(msgspec.json.encode(document), type=dict[str, Any])


# ---------------------------------------------------------------- the API


def test_api_description_is_valid_openapi(described: Described) -> None:
    assert described.api["openapi"].startswith("3.1.")
    assert [f"{list(error.absolute_path)}: {error.message}" for error in OpenAPIV31SpecValidator(described.api).iter_errors()] == []


def test_every_public_route_is_described_and_nothing_else(described: Described) -> None:
    served = {(route.method.lower(), route.path) for route in described.routes if route.public}
    assert {(method, path) for method, path, _ in described.operations()} == served


def test_the_whole_api_is_public(described: Described) -> None:
    assert [route.path for route in described.routes if route.path.startswith(f"{API}/") and not route.public] == []


def test_every_operation_says_in_a_line_what_it_does(described: Described) -> None:
    assert [f"{method} {path}: {op.get('summary')!r}" for method, path, op in described.operations() if not SUMMARY.match(op.get("summary", ""))] == []


def test_every_operation_has_an_id_of_its_own(described: Described) -> None:
    ids = Counter(operation["operationId"] for *_, operation in described.operations())
    assert [id for id, times in ids.items() if times > 1 or not re.fullmatch(r"[a-z]\w*", id)] == []


def test_every_operation_has_a_tag_that_is_declared(described: Described) -> None:
    declared = {tag["name"] for tag in described.api["tags"]}
    assert [path for _, path, operation in described.operations() if not operation["tags"] or not declared.issuperset(operation["tags"])] == []


def test_every_operation_documents_its_refusals(described: Described) -> None:
    lacking = []
    for method, path, operation in described.operations():
        refusals = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        wanted = {"400", "422", "503"} | ({"401", "403"} if "security" in operation else set()) | ({"413", "415"} if "requestBody" in operation else set())
        missing = sorted(wanted - refusals.keys()) if path.startswith(API) else []
        problems = [status for status, answer in refusals.items() if "application/problem+json" not in answer["content"]]
        lacking += [f"{method} {path}: {missing + problems}"] if missing or problems else []
    assert lacking == []


def test_who_is_not_ready_says_so_as_who_is(described: Described) -> None:
    responses = described.api["paths"]["/ready"]["get"]["responses"]
    assert responses["503"]["content"]["application/json"] == responses["200"]["content"]["application/json"]


def test_every_parameter_has_a_schema(described: Described) -> None:
    shapeless = [
        f"{method} {path}: {parameter['name']}"
        for method, path, operation in described.operations()
        for parameter in operation.get("parameters", ())
        if not {"type", "anyOf", "enum", "$ref"} & parameter["schema"].keys()
    ]
    assert shapeless == []


def test_every_name_in_a_path_is_a_parameter(described: Described) -> None:
    for method, path, operation in described.operations():
        parameters = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"]
        assert parameters == re.findall(r"{(\w+)}", path), f"{method} {path}"


def test_no_field_that_the_edge_fills_can_be_sent(described: Described) -> None:
    """Identities come from the session alone."""
    assert not {"Identity"} & described.api["components"]["schemas"].keys()


@pytest.mark.parametrize("document", ["api", "events"])
def test_schemas_have_plain_names_and_are_used(described: Described, document: str) -> None:
    whole: Document = getattr(described, document)
    schemas = whole["components"]["schemas"]
    assert [name for name in schemas if not NAMED.match(name)] == []
    assert len({name.lower() for name in schemas}) == len(schemas)
    assert schemas.keys() - {reference.rpartition("/")[2] for reference in _references(whole)} == set()


@pytest.mark.parametrize("document", ["api", "events"])
def test_every_reference_leads_somewhere(described: Described, document: str) -> None:
    whole: Document = getattr(described, document)
    assert [reference for reference in _references(whole) if _at(whole, reference) is None] == []


# ---------------------------------------------------------------- the events
# No package that could be named here ships AsyncAPI's own JSON Schema, so what it demands of a document like ours is written down below.


def test_events_description_has_the_structure_of_asyncapi(described: Described) -> None:
    document = described.events
    assert re.fullmatch(r"3\.0\.\d+", document["asyncapi"])
    assert document.keys() <= {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert document["info"]["title"]
    assert document["info"]["version"]
    keys = [*document["channels"], *document["operations"], *document["components"]["messages"], *document["components"]["schemas"]]
    assert [key for key in keys if not KEY.match(key)] == []


def test_every_operation_on_a_channel_sends_or_receives(described: Described) -> None:
    for name, operation in described.events["operations"].items():
        assert operation.keys() <= {"action", "channel", "title", "summary", "description", "messages"}, name
        assert operation["action"] in ("send", "receive"), name
        assert operation["channel"]["$ref"].startswith("#/channels/"), name


def test_every_event_is_in_the_channel_of_its_context_alone(described: Described) -> None:
    told = [(name, message) for name, channel in described.events["channels"].items() for message in channel["messages"]]
    assert sorted(told) == sorted((context_of(kind), kind.NAME) for kind in described.messages if issubclass(kind, Event))
    assert all(channel["address"] == f"torg.{name}" for name, channel in described.events["channels"].items())


def test_every_event_says_what_it_is(described: Described) -> None:
    for name, message in described.events["components"]["messages"].items():
        assert message["name"] == name
        assert re.fullmatch(r"[A-Z`].{3,}", message["summary"]), f"{name}: {message['summary']!r}"
        assert message["contentType"] == "application/json"
        assert message["payload"]


def test_payloads_keep_to_the_schema_dialect_of_asyncapi(described: Described) -> None:
    """Draft 7 of JSON Schema, in which what stands beside a reference is not seen."""
    for schema in _schemas(described.events["components"]["schemas"]):
        assert not BEYOND_DRAFT_7 & schema.keys(), schema
        assert "$ref" not in schema or len(schema) == 1, schema


# ---------------------------------------------------------------- the shapes of messages


def test_messages_only_grow() -> None:
    found = list(breaches(kept(), present()))
    assert found == [], "\n".join(["", *found, f"if nobody can have sent or kept these yet, renew the snapshot: {RENEW}"])


PLAIN = {"type": "object", "properties": {"id": {"type": "string", "maxLength": 9}, "kind": {"enum": ["a", "b"]}}, "required": ["id"]}


def _one(schema: Mapping[str, Any], **more: Any) -> Shapes:
    return Shapes({"order.placed": {"kind": "event", "version": 1, "schema": {"$ref": "#/types/Placed"}, **more}}, {"Placed": dict(schema)})


def _changed(**changes: Any) -> Document:
    changed = deepcopy(PLAIN)
    changed["properties"] = {**PLAIN["properties"], **changes}  # type: ignore[dict-item]
    return changed


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({**PLAIN, "properties": {"id": {"type": "string", "maxLength": 9}}}, "order.placed.kind: the field is gone"),
        (_changed(id={"type": "integer"}), "order.placed.id: was string, is integer"),
        ({**_changed(sum={"type": "integer"}), "required": ["id", "sum"]}, "order.placed.sum: the field is required now; give it a default"),
        ({**PLAIN, "required": ["id", "kind"]}, "order.placed.kind: the field is required now; give it a default"),
        (_changed(kind={"enum": ["a"]}), "order.placed.kind: b was allowed, and is not any more"),
        (_changed(id={"type": "string", "maxLength": 8}), "order.placed.id: maxLength is 8 now, and was 9"),
        (_changed(id={"anyOf": [{"type": "integer"}, {"type": "null"}]}), "order.placed.id: string was allowed, and is not any more"),
    ],
)
def test_change_that_is_not_additive_is_told(schema: Document, said: str) -> None:
    assert list(breaches(_one(PLAIN), _one(schema))) == [said]


@pytest.mark.parametrize(
    "schema",
    [
        PLAIN,
        _changed(sum={"type": "integer"}),
        _changed(kind={"enum": ["a", "b", "c"]}),
        _changed(id={"type": "string", "maxLength": 10}),
        _changed(id={"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]}),
        {**PLAIN, "required": []},
    ],
)
def test_additive_change_is_taken(schema: Document) -> None:
    assert list(breaches(_one(PLAIN), _one(schema))) == []


def test_message_that_is_gone_or_older_or_another_kind_is_told() -> None:
    assert len(list(breaches(_one(PLAIN), Shapes({}, {})))) == 1
    assert len(list(breaches(_one(PLAIN, version=2), _one(PLAIN)))) == 1
    assert len(list(breaches(_one(PLAIN), _one(PLAIN, kind="command")))) == 1


def _references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from _references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _references(inner)


def _schemas(node: object) -> Iterator[Document]:
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from _schemas(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _schemas(inner)


def _at(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document.get(part) if isinstance(document, dict) else None
    return document
