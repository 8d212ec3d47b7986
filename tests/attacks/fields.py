"""Every field of the API and of the pages' forms that takes free text, as the description and the pages have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

FORMS = {"number": 1, "integer": 1, "boolean": True}


def bodies(description: dict[str, Any], known: dict[str, str], text: str) -> Iterator[tuple[str, str, str, object]]:
    """Method, path, the field, and a JSON body that has the text in that field."""
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if schema:
                target = "/".join(known.get(part[1:-1], "nothing") if part.startswith("{") else part for part in path.split("/"))
                maker = _Maker(description["components"]["schemas"], known)
                for name in maker.free(schema):
                    yield method.upper(), target, name, maker.made(schema, name, text)


@dataclass
class _Maker:
    components: dict[str, Any]
    known: dict[str, str]

    def free(self, schema: dict[str, Any], name: str = "") -> list[str]:
        """The names of fields that take any text."""
        schema = self._resolved(schema)
        if schema.get("type") == "object":
            return [found for inner, shape in schema.get("properties", {}).items() for found in self.free(shape, f"{name}.{inner}")]
        if schema.get("type") == "array":
            return self.free(schema["items"], f"{name}[]") if isinstance(schema.get("items"), dict) else []
        return [name] if schema.get("type") == "string" and "enum" not in schema else []

    def made(self, schema: dict[str, Any], wanted: str, text: str, name: str = "") -> object:
        """An example of what is described, with what is wanted in it."""
        schema = self._resolved(schema)
        if name == wanted:
            return text
        kind = schema.get("type")
        if kind == "object":
            needed = schema.get("required", ())
            shapes = schema.get("properties", {}).items()
            return {
                inner: self.made(shape, wanted, text, f"{name}.{inner}") for inner, shape in shapes if inner in needed or wanted.startswith(f"{name}.{inner}")
            }
        if kind == "array":
            return [self.made(schema["items"], wanted, text, f"{name}[]")] if isinstance(schema.get("items"), dict) else []
        if "enum" in schema:
            return schema["enum"][0]
        return self.known.get(name.rpartition(".")[2], "text") if kind == "string" else FORMS.get(str(kind))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema or "anyOf" in schema:
            schema = self.components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["anyOf"][0]
        return schema


@dataclass
class Form:
    method: str
    action: str
    fields: dict[str, str] = field(default_factory=dict)
    free: list[str] = field(default_factory=list)


class Forms(HTMLParser):
    """The forms of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(given.get("method", "get").upper(), given.get("action", "")))
        elif tag in ("input", "textarea", "select") and self.found and "name" in given:
            form, kind = self.found[-1], given.get("type", "text")
            form.fields.setdefault(given["name"], given.get("value", ""))
            if tag == "textarea" or (tag == "input" and kind in ("text", "search", "tel", "email", "password", "url")):
                form.free.append(given["name"])
