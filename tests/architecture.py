"""The rules of the house that linters can't check. Each rule reads the house and yields a sentence for whatever breaks it."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOMS = frozenset({"__init__", "contracts", "model", "ports", "handlers", "sagas", "routes", "module", "adapters", "migrations", "tests"})
PAGE_ROOMS = frozenset({"templates", "static", "locale"})
TABLELESS = ROOMS - {"migrations"}
ROOMS_OF: Mapping[str, frozenset[str]] = {"gateway": TABLELESS, "web": TABLELESS | PAGE_ROOMS, "admin": ROOMS | PAGE_ROOMS}
DECLARED = frozenset({"gateway.toml"})
"""Data that stands beside the rooms, for operators to read."""
PURE_ROOMS = frozenset({"contracts", "model", "ports", "sagas", "handlers"})
PURE_LIBRARIES = frozenset({"msgspec", "torg"})
DRIVERS_OF_PYTHON = frozenset({"http", "multiprocessing", "smtplib", "socket", "sqlite3", "ssl", "subprocess", "threading", "urllib"})
HARD_STOP = 60

EXCEPTIONS: Mapping[str, frozenset[str]] = {
    "time_and_chance_come_from_deps": frozenset({"kit/values.py", "simulation/run.py"}),  # where they are made; where a process's whole chance is seeded
    "no_silent_except": frozenset({"kit/sql/committer.py", "simulation/loop.py"}),  # handed to whoever waits; last words of what was thrown away
    "sql_stays_in_its_context": frozenset({"simulation/judge.py", "simulation/watch.py"}),  # look where nobody else may
    "no_module_level_mutable_state": frozenset({"kit/telemetry.py"}),  # OpenTelemetry's tracer is one per process by its nature
}


@dataclass(frozen=True)
class Source:
    """A Python file; `path` is relative to the package."""

    path: Path
    text: str

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @property
    def is_test(self) -> bool:
        return "tests" in self.path.parts

    @property
    def context(self) -> str:
        return self.path.parts[1] if self.path.parts[0] == "contexts" and len(self.path.parts) > 2 else ""

    @property
    def room(self) -> str:
        return Path(self.path.parts[2]).stem if self.context else ""

    @cached_property
    def imports(self) -> list[tuple[int, str]]:
        """(line, dotted name) of everything imported, `from a import b` as a.b."""
        found = [(node.lineno, name.name) for node in self.nodes if isinstance(node, ast.Import) for name in node.names]
        froms = (node for node in self.nodes if isinstance(node, ast.ImportFrom))
        return found + [(node.lineno, f"{self._origin(node)}.{name.name}") for node in froms for name in node.names]

    def _origin(self, node: ast.ImportFrom) -> str:
        package = ("torg", *self.path.parent.parts)
        above = package[: len(package) - node.level + 1] if node.level else ()
        return ".".join((*above, *([node.module] if node.module else [])))

    def at(self, line: int, words: str) -> str:
        return f"{self.path}:{line}: {words}"


class House:
    """All sources of the package at `package`, and of the `tests` beside it if there are any."""

    def __init__(self, package: Path, tests: Path | None = None) -> None:
        self.package = package
        self.sources = [Source(path.relative_to(package), path.read_text()) for path in sorted(package.rglob("*.py"))]
        self.tests = [Source("tests" / path.relative_to(tests), path.read_text()) for path in sorted(tests.rglob("*.py"))] if tests else []

    @property
    def shipped(self) -> list[Source]:
        return [source for source in self.sources if not source.is_test]

    @cached_property
    def contexts(self) -> list[Path]:
        return sorted(path for path in (self.package / "contexts").glob("[!_]*") if path.is_dir())

    @cached_property
    def owners(self) -> dict[str, set[str]]:
        """Which contexts have a table of a name."""
        owners: dict[str, set[str]] = {}
        for context in self.contexts:
            for migration in context.glob("migrations/*.sql"):
                for table in re.findall(r"create\s+(?:virtual\s+)?table\s+(?:if\s+not\s+exists\s+)?(\w+)", migration.read_text().lower()):
                    owners.setdefault(table, set()).add(context.name)
        return owners


Rule = Callable[[House], Iterator[str]]


def rooms_are_a_closed_set(house: House) -> Iterator[str]:
    for context in house.contexts:
        allowed = ROOMS_OF.get(context.name, ROOMS)
        for entry in sorted(context.iterdir()):
            if entry.name not in {"__pycache__", *DECLARED} and (entry.stem not in allowed or entry.suffix not in {"", ".py"}):
                yield f"contexts/{context.name}/{entry.name}: not a room; a context has {', '.join(sorted(allowed))}"
        if (context / "__init__.py").exists() and (context / "__init__.py").read_text().strip():
            yield f"contexts/{context.name}/__init__.py: keep it empty; what others may import stands in contracts"


def pure_rooms_import_no_driver(house: House) -> Iterator[str]:
    python = sys.stdlib_module_names - DRIVERS_OF_PYTHON
    for source in house.shipped:
        if source.room in PURE_ROOMS:
            for line, name in source.imports:
                if name.partition(".")[0] not in python | PURE_LIBRARIES or name.startswith(("torg.kit.sql.sqlite", "torg.kit.sql.postgres")):
                    yield source.at(line, f"{name} in {source.room}: drivers belong into adapters, behind a port")


def outsiders_import_contracts_only(house: House) -> Iterator[str]:
    for source in house.shipped:
        for line, name in source.imports:
            target = re.match(r"torg\.contexts\.(\w+)(?:\.(\w+))?", name)
            if target and not source.context and target[2] != "contracts" and (source.path.name, target[2]) != ("compose.py", "module"):
                yield source.at(line, f"{name}: outside the contexts import torg.contexts.{target[1]}.contracts (only compose: module)")


SQL = re.compile(r"\s*(select|insert|update|delete|with|create|alter|drop|from|join|left\s+join|exists)\s", re.IGNORECASE)
TABLE = re.compile(r"\b(?:from|join|into|update|table|exists)\s+(?:if\s+(?:not\s+)?exists\s+)?(\w+)", re.IGNORECASE)


def sql_stays_in_its_context(house: House) -> Iterator[str]:
    for source in house.shipped:
        for node in source.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL.match(node.value):
                yield from (source.at(node.lineno, words) for words in _foreign_tables(house, source.context, node.value))
    for context in house.contexts:
        for migration in sorted(context.glob("migrations/*.sql")):
            yield from (f"{migration.relative_to(house.package)}: {words}" for words in _foreign_tables(house, context.name, migration.read_text()))


def _foreign_tables(house: House, context: str, sql: str) -> Iterator[str]:
    for table in sorted({name.lower() for name in TABLE.findall(sql)}):
        owners = house.owners.get(table, set())
        if owners and context not in owners:
            yield f"SQL reaches table {table} of {', '.join(sorted(owners))}: send that context a message"


MUTABLE_CALLS = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict", "WeakValueDictionary", "WeakKeyDictionary"})
OPENING_CALLS = frozenset({"connect", "open", "create_pool", "socket", "Thread", "ThreadPoolExecutor"})
MUTATORS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "popleft",
        "remove",
        "setdefault",
        "sort",
        "update",
    }
)


def no_module_level_mutable_state(house: House) -> Iterator[str]:
    for source in house.shipped:
        mutated = _mutated(source)
        for node in source.nodes:
            if isinstance(node, ast.Global):
                yield source.at(node.lineno, f"global {', '.join(node.names)}: state belongs into an object that module.py builds")
        for name, statement in _module_level(source.tree.body):
            if _called(statement.value) in OPENING_CALLS:
                yield source.at(statement.lineno, f"{name} is opened at import; open it in build()")
            elif _is_mutable(statement.value) and (name in mutated or not name.lstrip("_").isupper()):
                yield source.at(statement.lineno, f"{name} is mutable state of the module: make it an UPPER_CASE constant that nothing changes")
        classes = {node.name for node in source.tree.body if isinstance(node, ast.ClassDef)}
        for name, line in mutated.items():
            if name in classes:
                yield source.at(line, f"{name}'s attribute changes at run time: state of a class is state of the module")


def _module_level(body: list[ast.stmt]) -> Iterator[tuple[str, ast.Assign | ast.AnnAssign]]:
    for node in body:
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            yield from _module_level([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name) and target.id != "__all__")


def _called(value: ast.expr | None) -> str:
    function = value.func if isinstance(value, ast.Call) else None
    return function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""


def _is_mutable(value: ast.expr | None) -> bool:
    return isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)) or _called(value) in MUTABLE_CALLS


def _mutated(source: Source) -> dict[str, int]:
    """Names whose value is changed in place by a function, a subscript or an attribute, with a line where it happens."""
    changed: list[ast.expr] = []
    for node in source.nodes:
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, (ast.Store, ast.Del)):
            changed.append(node.value)
        elif isinstance(node, ast.AugAssign):
            changed.append(node.target)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            changed.append(node.func.value)
    return {node.id: node.lineno for node in changed if isinstance(node, ast.Name)}


def no_mock_patch(house: House) -> Iterator[str]:
    for source in house.sources + house.tests:
        for line, name in source.imports:
            if name == "mock" or name.startswith(("unittest.mock", "mock.")):
                yield source.at(line, f"{name}: write a fake of the port, beside the port's suite")
        for node in source.nodes:
            if isinstance(node, ast.Attribute) and node.attr == "setattr" and isinstance(node.value, ast.Name) and node.value.id == "monkeypatch":
                yield source.at(node.lineno, "monkeypatch.setattr: hand the replacement in through deps")
            if isinstance(node, ast.arg) and node.arg == "mocker":
                yield source.at(node.lineno, "mocker: write a fake of the port, beside the port's suite")


def lengths(house: House) -> list[tuple[int, Source, str, int]]:
    """(lines, file, name, first line) of every function the package ships."""
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, source, node.name, node.lineno)
        for source in house.shipped
        for node in source.nodes
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]


def functions_are_short(house: House) -> Iterator[str]:
    for lines, source, name, first in lengths(house):
        if lines > HARD_STOP:
            yield source.at(first, f"{name} has {lines} lines; the hard stop is {HARD_STOP}, the aim 10")


def no_silent_except(house: House) -> Iterator[str]:
    for source in house.sources + house.tests:
        for node in source.nodes:
            if isinstance(node, ast.ExceptHandler) and _broad(node.type) and not any(isinstance(n, (ast.Call, ast.Raise)) for n in ast.walk(node)):
                yield source.at(node.lineno, "a broad except that says nothing: name the exception, or log it and go on")
            if isinstance(node, ast.Call) and _called(node) == "suppress" and any(_broad(argument) for argument in node.args):
                yield source.at(node.lineno, "suppress(Exception): name the exception")


def _broad(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"}) for one in kinds)


def no_any_where_others_look(house: House) -> Iterator[str]:
    for source in house.shipped:
        if source.room in {"contracts", "ports", "model"}:
            for node in source.nodes:
                if (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any"):
                    yield source.at(node.lineno, f"Any in {source.room}: say the type")


BAD_NAME = re.compile(r"_*((Base|Abstract)[A-Z]\w*|\w*(Manager|Helper|Impl|Utils?))$")
BAD_FILE = re.compile(r"(utils?|helpers?|common|misc|base|managers?)$")


def names_are_the_domains(house: House) -> Iterator[str]:
    for source in house.sources + house.tests:
        if BAD_FILE.match(source.path.stem):
            yield source.at(1, "a file is named for what it holds in the domain's words")
        for node in source.nodes:
            if isinstance(node, ast.ClassDef) and BAD_NAME.match(node.name):
                yield source.at(node.lineno, f"{node.name}: name it in the domain's words; no Manager, Helper, Impl, Utils, Base…, Abstract…")


NONDETERMINISTIC = re.compile(
    r"((datetime\.)?datetime\.(now|utcnow|today)|(datetime\.)?date\.today|time\.time(_ns)?|(uuid\.)?uuid\d\w*|random\.(?!Random$)\w+|secrets\.\w+|os\.urandom)$"
)


def time_and_chance_come_from_deps(house: House) -> Iterator[str]:
    for source in house.shipped:
        if "testing" in source.path.parts:
            continue
        used = [(node.lineno, ast.unparse(node)) for node in source.nodes if isinstance(node, ast.Attribute)]
        for line, name in used + source.imports:
            if NONDETERMINISTIC.match(name):
                yield source.at(line, f"{name}: clock, ids and randomness come from deps (made in kit.values), a seeded random.Random where it is data")
        for node in source.nodes:
            if isinstance(node, ast.Call) and _called(node) == "Random" and not node.args:
                yield source.at(node.lineno, "Random() without a seed: nobody can repeat what it did")


RULES: tuple[Rule, ...] = (
    rooms_are_a_closed_set,
    pure_rooms_import_no_driver,
    outsiders_import_contracts_only,
    sql_stays_in_its_context,
    no_module_level_mutable_state,
    no_mock_patch,
    functions_are_short,
    no_silent_except,
    no_any_where_others_look,
    names_are_the_domains,
    time_and_chance_come_from_deps,
)


def broken(rule: Rule, house: House) -> list[str]:
    """What breaks the rule, short of its exceptions."""
    excused = EXCEPTIONS.get(rule.__name__, frozenset())
    return [sentence for sentence in rule(house) if sentence.partition(":")[0] not in excused]
