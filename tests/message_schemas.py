"""The shapes of all messages, and what has changed in them that readers of older rows, or older readers, could not bear.

`python -m tests.message_schemas` (with src on PYTHONPATH) writes the snapshot anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from torg import compose
from torg.kit.messages import Command, Event, Message, Query

SNAPSHOT = Path(__file__).parent / "snapshots" / "messages.json"
RENEW = "PYTHONPATH=src .venv/bin/python -m tests.message_schemas"
WORDS = frozenset({"title", "description", "default"})  # said to people, or filled in by the reader: free to change
LEAST, MOST = ("minimum", "exclusiveMinimum", "minLength", "minItems"), ("maximum", "exclusiveMaximum", "maxLength", "maxItems")

Schema = Mapping[str, Any]


class Shapes(msgspec.Struct, frozen=True):
    """`messages` by name; `types` are what their schemas refer to."""

    messages: dict[str, dict[str, Any]]
    types: dict[str, dict[str, Any]]

    def resolved(self, schema: Schema) -> Schema:
        return self.types[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def present() -> Shapes:
    """The messages as the contracts have them now."""
    kinds = sorted(compose.registry().types(), key=lambda kind: kind.NAME)
    schemas, types = msgspec.json.schema_components(kinds, ref_template="#/types/{name}")
    messages = {kind.NAME: {"kind": _kind(kind), "version": kind.VERSION, "schema": schema} for kind, schema in zip(kinds, schemas, strict=True)}
    return Shapes(messages, {name: _bare(schema) for name, schema in sorted(types.items())})


def kept() -> Shapes:
    return msgspec.json.decode(SNAPSHOT.read_bytes(), type=Shapes)


def breaches(old: Shapes, new: Shapes) -> Iterator[str]:
    """A sentence for each change that is not additive."""
    for name, was in old.messages.items():
        now = new.messages.get(name)
        if now is None:
            yield f"{name}: the message is gone; rows and clients that have it remain"
            continue
        if now["kind"] != was["kind"] or now["version"] < was["version"]:
            yield f"{name}: was a {was['kind']} of version {was['version']}, is a {now['kind']} of version {now['version']}"
        yield from _Comparison(old, new).of(was["schema"], now["schema"], name)


class _Comparison:
    """`seen` are pairs of types that were compared before: types may lie in themselves."""

    def __init__(self, old: Shapes, new: Shapes, seen: Iterable[tuple[str, str]] = ()) -> None:
        self._old, self._new, self._seen = old, new, set(seen)

    def of(self, was: Schema, now: Schema, where: str) -> Iterator[str]:
        pair = (was.get("$ref", ""), now.get("$ref", ""))
        if all(pair) and pair in self._seen:
            return
        self._seen.add(pair)
        was, now = self._old.resolved(was), self._new.resolved(now)
        if "anyOf" in was or "anyOf" in now:
            yield from self._alternatives(was, now, where)
            return
        if was.get("type") != now.get("type"):
            yield f"{where}: was {was.get('type', 'anything')}, is {now.get('type', 'anything')}"
            return
        yield from _narrowed(was, now, where)
        yield from self._fields(was, now, where)
        for key in ("items", "additionalProperties"):
            if isinstance(was.get(key), dict) and isinstance(now.get(key), dict):
                yield from self.of(was[key], now[key], f"{where}[]")

    def _alternatives(self, was: Schema, now: Schema, where: str) -> Iterator[str]:
        """Each that there was must still be taken."""
        for one in was.get("anyOf", (was,)):
            if all(any(_Comparison(self._old, self._new, self._seen).of(one, other, where)) for other in now.get("anyOf", (now,))):
                yield f"{where}: {_name(one)} was allowed, and is not any more"

    def _fields(self, was: Schema, now: Schema, where: str) -> Iterator[str]:
        had, has = was.get("properties", {}), now.get("properties", {})
        yield from (f"{where}.{field}: the field is gone" for field in had.keys() - has.keys())
        for field in sorted(set(now.get("required", ())) - set(was.get("required", ()))):
            yield f"{where}.{field}: the field is required now; give it a default"
        for field in had.keys() & has.keys():
            yield from self.of(had[field], has[field], f"{where}.{field}")


def _narrowed(was: Schema, now: Schema, where: str) -> Iterator[str]:
    """Limits that are tighter than they were."""
    if gone := [value for value in was.get("enum", ()) if "enum" in now and value not in now["enum"]]:
        yield f"{where}: {', '.join(map(str, gone))} was allowed, and is not any more"
    tighter = [key for key in LEAST if key in now and (key not in was or now[key] > was[key])]
    tighter += [key for key in MOST if key in now and (key not in was or now[key] < was[key])]
    tighter += [key for key in ("pattern", "format", "enum") if key in now and (key not in was or (key != "enum" and now[key] != was[key]))]
    yield from (f"{where}: {key} is {now[key]} now, and was {was.get(key, 'free')}" for key in tighter)


def _kind(kind: type[Message]) -> str:
    return next(base.__name__.lower() for base in (Command, Query, Event) if issubclass(kind, base))


def _name(schema: Schema) -> str:
    return str(schema.get("$ref", schema.get("type", schema))).rpartition("/")[2]


def _bare(value: Any) -> Any:
    """A schema without words; but a field may well be called description."""
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    fields = {"properties": {name: _bare(field) for name, field in value["properties"].items()}} if "properties" in value else {}
    return {key: _bare(one) for key, one in value.items() if key not in WORDS and key != "properties"} | fields


if __name__ == "__main__":
    SNAPSHOT.write_bytes(msgspec.json.format(msgspec.json.encode(present(), order="sorted"), indent=1) + b"\n")
