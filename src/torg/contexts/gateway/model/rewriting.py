"""What the front door changes of requests and answers: other hosts and paths for what is there, headers, and which fields an answer has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from torg.contexts.gateway.model.paths import Node, deepest, fault_of_path, tree

HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*")
NAME: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
VALUE: Final = re.compile(r"[\x20-\x7e]*")
RESERVED: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "transfer-encoding",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-request-id",
    }
)
"""What says how a message is to be read, or is said by the front door alone."""


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Fields: TypeAlias = "dict[str, Fields]"
"""Names of fields, and of those below them; nothing below means the whole."""


class Rewrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done with requests below these paths, of these hosts; of any host, where none is named."""

    paths: tuple[str, ...] = ("/",)
    hosts: tuple[str, ...] = ()
    becomes: str = ""
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()
    answer_add: dict[str, str] = {}
    answer_remove: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    on: bool = True

    def path(self, raw: bytes, matched: int) -> bytes:
        """The path with what stands in place of its first `matched` segments."""
        if not self.becomes:
            return raw
        rest = b"/".join([segment for segment in raw.split(b"/") if segment][matched:])
        return (self.becomes.rstrip("/").encode() + (b"/" + rest if rest else b"") + (b"/" if rest and raw.endswith(b"/") else b"")) or b"/"

    def place(self, location: bytes, raw: bytes, matched: int) -> bytes:
        """Where an answer sends whoever has asked for this path, as they would have to ask for it."""
        root = self.becomes.rstrip("/").encode()
        rest = location.removeprefix(root)
        if not self.becomes or not location.startswith(b"/") or not location.startswith(root) or rest[:1] not in (b"", b"/", b"?", b"#"):
            return location
        asked = b"".join([b"/" + segment for segment in raw.split(b"/") if segment][:matched])
        return asked + (rest if rest.startswith(b"/") or asked else b"/" + rest)

    def fields(self, document: Json) -> Json:
        """Of a JSON document only those that are kept, or all that are not dropped; lists are looked into."""
        if self.keep:
            return _kept(document, _by_name(self.keep))
        return _without(document, _by_name(self.drop))


def _by_name(names: Iterable[str]) -> Fields:
    found: Fields = {}
    for name in names:
        place = found
        for part in name.split("."):
            place = place.setdefault(part, {})
    return found


def _kept(document: Json, fields: Fields) -> Json:
    if isinstance(document, list):
        return [_kept(item, fields) for item in document]
    if not isinstance(document, dict) or not fields:
        return document
    return {name: _kept(value, fields[name]) for name, value in document.items() if name in fields}


def _without(document: Json, fields: Fields) -> Json:
    if isinstance(document, list):
        return [_without(item, fields) for item in document]
    if not isinstance(document, dict):
        return document
    return {name: _without(value, fields[name]) if name in fields else value for name, value in document.items() if fields.get(name) != {}}


class Rewrites:
    """Finds the one that a request falls under: of its own host before any host's, and the longest beginning of its path."""

    def __init__(self, declared: Iterable[Rewrite]) -> None:
        tables = dict[str, dict[str, Rewrite]]()
        for rewrite in declared:
            for host in (rewrite.hosts or ("",)) if rewrite.on else ():
                tables.setdefault(host, {}).update(dict.fromkeys(rewrite.paths, rewrite))
        self._trees: dict[str, Node[Rewrite]] = {host: tree(table) for host, table in tables.items()}

    def __bool__(self) -> bool:
        return bool(self._trees)

    def find(self, host: str, segments: list[str]) -> tuple[int, Rewrite] | None:
        """It, and how many segments of the path are its own."""
        for name in (host, ""):
            root = self._trees.get(name)
            if root is not None and (found := deepest(root, segments, 0)):
                return found
        return None


def faults_of_rewrites(rewrites: Mapping[str, Rewrite]) -> Iterable[str]:
    taken = dict[tuple[str, str], str]()
    for name, rewrite in rewrites.items():
        place = f"[rewrites.{name}]"
        for path in (*rewrite.paths, *([rewrite.becomes] if rewrite.becomes else [])):
            if fault := fault_of_path(path):
                yield f'{place} "{path}": {fault}'
        if "*" in rewrite.becomes:
            yield f'{place} becomes "{rewrite.becomes}": say which path; * stands for any only where paths are told apart'
        for host in rewrite.hosts:
            if not HOST.fullmatch(host):
                yield f"{place}: {host!r} is no host: small letters and no port, as partners.example"
        yield from _faults_of_headers(place, [*rewrite.add, *rewrite.remove, *rewrite.answer_add, *rewrite.answer_remove])
        yield from _faults_of_values(place, [*rewrite.add.values(), *rewrite.answer_add.values()])
        yield from _faults_of_fields(place, rewrite)
        for key in [(host, path) for host in rewrite.hosts or ("",) for path in rewrite.paths] if rewrite.on else ():
            if (other := taken.setdefault(key, name)) != name:
                yield f'{place} "{key[1]}": {other} is for it as well; one rewrite for a path of a host'


def _faults_of_headers(place: str, names: Sequence[str]) -> Iterable[str]:
    for name in names:
        if not NAME.fullmatch(name):
            yield f"{place}: {name!r} is no header's name: small letters, as x-partner"
        elif name in RESERVED or name.startswith("torg-"):
            yield f"{place}: {name} is not to be changed: it says how a message is read, or is said by the front door alone"


def _faults_of_values(place: str, values: Collection[str]) -> Iterable[str]:
    for value in values:
        if not VALUE.fullmatch(value):
            yield f"{place}: {value!r} cannot stand in a header: one line of ASCII"


def _faults_of_fields(place: str, rewrite: Rewrite) -> Iterable[str]:
    if rewrite.keep and rewrite.drop:
        yield f"{place}: keep says all that stays, so there is nothing to drop: one of the two"
    for field in (*rewrite.keep, *rewrite.drop):
        if not FIELD.fullmatch(field):
            yield f"{place}: {field!r} is no field: names with points between them, as items.price"
