"""What the pages for people name exists: links, settings, metrics, contexts with their tables and events, steps, commands, routes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]

from torg import cli, compose, topology
from torg.contexts.admin.adapters.guide_pages import ACTIONS
from torg.contexts.order.sagas import CHECKOUT
from torg.kit.http import Route
from torg.kit.http.admission import Admission
from torg.kit.http.metrics import RequestStats
from torg.kit.http.routes import Router
from torg.kit.messages import Event, Message, context_of
from torg.kit.module import Module
from torg.kit.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "src/torg/demo/data/README.md", *(ROOT / "docs").rglob("*.md")])
OPERATIONS = (ROOT / "docs/operations.md").read_text()
RUN_BOOK = (ROOT / "docs/runbook.md").read_text()
BESIDE_SETTINGS = {f"{PREFIX}CONFIG", f"{PREFIX}VENV", f"{PREFIX}FUZZ", f"{PREFIX}TEST_POSTGRES", f"{PREFIX}DB_PASSWORD", f"{PREFIX}FACTS_PASSWORD"}
"""The settings' file, the start script's folder, a test's length, a server for tests; and what compose.yaml makes URLs of."""
METHODS = "GET|POST|PUT|PATCH|DELETE"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass(frozen=True)
class Facts:
    """The composed application, as the pages may speak of it."""

    routes: Sequence[Route]
    modules: Mapping[str, Module]
    messages: Sequence[type[Message]]

    def invariants(self, context: str) -> set[str]:
        return {one.name for one in self.modules[context].invariants}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return asyncio.run(_gather(tmp_path_factory.mktemp("documented")))


async def _gather(folder: Path) -> Facts:
    app = await compose.compose(Settings(data=str(folder), sync="OFF", password_memory_kib=8))
    try:
        return Facts(tuple(app.http.routes), {module.name: module for module in app.modules}, tuple(app.registry.types()))
    finally:
        await app.close()


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_code(page.read_text())):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in _anchors(found)):
            broken.append(target)
    assert broken == []


def test_every_page_can_be_reached_from_the_index() -> None:
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        targets = [(page.parent / target.partition("#")[0]).resolve() for target in re.findall(r"\]\(([^)\s#]+)", page.read_text()) if "://" not in target]
        waiting += [target for target in targets if target.suffix == ".md"]
        waiting += [inner for target in targets if target.is_dir() for inner in target.glob("*.md")]
    assert [named(page) for page in PAGES if page not in seen] == []


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """As code hosts make them of headings."""
    return {_anchor(heading) for heading in re.findall(r"^#+ (.+)$", _without_code(page.read_text()), re.MULTILINE)}


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# ---------------------------------------------------------------- operations


def test_every_alert_is_about_a_metric_and_names_what_to_do() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "observability" / "alerts.yml").read_text())["groups"][0]["rules"]
    known = set(re.findall(r"^\| `(torg_\w+)` \|", OPERATIONS, re.MULTILINE))
    anchors = _anchors(ROOT / "docs" / "runbook.md")
    assert len(rules) >= 8
    for rule in rules:
        metrics = {name.removesuffix("_count") for name in re.findall(r"torg_\w+", rule["expr"])}
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert metrics <= known, rule
        assert (page, anchor in anchors) == ("docs/runbook.md", True), rule
        assert rule["labels"]["severity"] in ("page", "ticket"), rule


def test_the_run_book_has_an_entry_for_each_alert_and_each_sort_of_fault() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "observability" / "alerts.yml").read_text())["groups"][0]["rules"]
    by_alert = {name: row[1] for row in _rows("alert") for name in _coded(row[0])}
    assert {name: f"docs/runbook.md{_linked(entry)[0]}" for name, entry in by_alert.items()} == {
        rule["alert"]: rule["annotations"]["runbook"] for rule in rules
    }
    sorts = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/chaos.md").read_text().partition("## What is judged")[0], re.MULTILINE))
    assert len(sorts) >= 10
    assert {sort for row in _rows("what has happened") for sort in _coded(row[1])} == sorts
    entries = {f"#{anchor}" for anchor in map(_anchor, _entries())}
    assert {link for head in ("alert", "what has happened") for row in _rows(head) for link in _linked(row[-1])} == entries


def test_what_the_auditor_sends_operators_to_is_there() -> None:
    for action in ACTIONS.values():
        page, _, anchor = action.entry.partition("#")
        assert anchor in _anchors(ROOT / page), action


def test_each_entry_of_the_run_book_says_what_one_sees_what_happens_by_itself_what_to_do_and_when_it_is_over() -> None:
    wanted = ["One sees", "By itself", "Do", "Over when"]
    assert {name: found for name, text in _entries().items() if (found := re.findall(r"^\*([A-Z][a-z ]+)\* ", text, re.MULTILINE)) != wanted} == {}


def _entries() -> dict[str, str]:
    """The run book's, by their headings."""
    _, *parts = re.split(r"^##+ (.+)$", RUN_BOOK, flags=re.MULTILINE)
    return {name: text for name, text in zip(parts[::2], parts[1::2], strict=True) if text.strip()}


def _rows(head: str) -> list[list[str]]:
    """The cells of the run book's table with this first head."""
    table = re.search(rf"^\| {head} \|.*?\n\n", RUN_BOOK, re.MULTILINE | re.DOTALL)
    assert table, head
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].strip().splitlines()[2:]]


def _coded(text: str) -> list[str]:
    return re.findall(r"`(\w+)`", text)


def _linked(text: str) -> list[str]:
    return re.findall(r"\]\((#[\w-]+)\)", text)


def test_every_setting_is_described_with_its_default() -> None:
    described = {name: default.strip(" `") for name, default in re.findall(rf"^\| `({PREFIX}\w+)` \|([^|]*)\|", OPERATIONS, re.MULTILINE)}
    of_one_context = {"databases": f"{PREFIX}<CONTEXT>_DB", "replicas": f"{PREFIX}<CONTEXT>_DB_REPLICA"}
    assert all(f"| `{name}` |" in OPERATIONS for name in of_one_context.values())
    fields = {f"{PREFIX}{field.name.upper()}": field.default for field in msgspec.structs.fields(Settings) if field.name not in of_one_context}
    assert described.keys() == fields.keys()
    plain = {name: default for name, default in fields.items() if default not in ("", None) and name != f"{PREFIX}DATA"}
    assert {name: described[name] for name in plain} == {
        name: str(default).lower() if isinstance(default, bool) else str(default) for name, default in plain.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {f"{PREFIX}{field.name.upper()}" for field in msgspec.structs.fields(Settings)} | BESIDE_SETTINGS
    known |= {f"{PREFIX}{context.upper()}_DB{replica}" for context in topology.CONTEXTS for replica in ("", "_REPLICA")}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", page.read_text())) - known == set()


def test_every_metric_is_described() -> None:
    sources = (file.read_text() for file in (ROOT / "src/torg").rglob("*.py") if "tests" not in file.parts)
    names = {name for source in sources for name in re.findall(r"\b(?:Counter|Gauge|Histogram)\(\s*\"(torg_\w+)\"", source)}
    collected = [*RequestStats().collect(), *Admission(list[object]().append, lambda *_: None).collect()]
    names |= {family.name + ("_total" if family.type == "counter" else "") for family in collected}
    assert set(re.findall(r"^\| `(torg_\w+)` \|", OPERATIONS, re.MULTILINE)) == names


# ---------------------------------------------------------------- contexts


def test_every_context_has_its_section() -> None:
    assert tuple(_sections()) == topology.CONTEXTS


@pytest.mark.parametrize("context", topology.CONTEXTS)
def test_tables_of_a_context_are_listed(context: str) -> None:
    scripts = sorted((ROOT / "src/torg/contexts" / context / "migrations").glob("*.sql"))
    tables = {table for script in scripts for table in re.findall(r"create table (\w+)", script.read_text())}
    assert _listed(context, "Tables") == tables


@pytest.mark.parametrize("context", topology.CONTEXTS)
def test_events_of_a_context_are_listed(context: str, facts: Facts) -> None:
    assert _listed(context, "Tells") == {kind.NAME for kind in facts.messages if issubclass(kind, Event) and context_of(kind) == context}


@pytest.mark.parametrize("context", topology.CONTEXTS)
def test_what_a_context_is_asked_is_a_message_of_its_own(context: str, facts: Facts) -> None:
    own = {kind.NAME for kind in facts.messages if not issubclass(kind, Event) and context_of(kind) == context}
    assert _listed(context, "Asked") <= own


@pytest.mark.parametrize("context", topology.CONTEXTS)
def test_whom_a_context_listens_to_is_listed(context: str, facts: Facts) -> None:
    sources = {source for consumer in facts.modules[context].consumers for source in consumer.sources()} - {context}
    said = _listed(context, "Listens to")
    assert said >= sources
    assert said <= set(topology.CONTEXTS)


@pytest.mark.parametrize("context", topology.CONTEXTS)
def test_jobs_of_a_context_are_listed(context: str, facts: Facts) -> None:
    always = {job.name for job in facts.modules[context].jobs}
    said = {name for name in _listed(context, "Jobs") if not name.startswith(PREFIX)}
    assert said - {"shipping.carrier"} == always


@pytest.mark.parametrize("context", topology.CONTEXTS)
def test_what_must_hold_in_a_context_is_listed(context: str, facts: Facts) -> None:
    assert _listed(context, "Must hold") == facts.invariants(context)


def _sections() -> dict[str, str]:
    _, *parts = re.split(r"^## (\w+)$", (ROOT / "docs/contexts.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _listed(context: str, what: str) -> set[str]:
    """The names of one line of a context's section; files and folders are no names."""
    found = re.search(rf"^- \*\*{what}\*\*:(.*?)(?=^- |\n\n|\Z)", _sections()[context], re.MULTILINE | re.DOTALL)
    assert found, f"docs/contexts.md, {context}: where is {what}?"
    return {name for name in re.findall(r"`([^`]+)`", found[1]) if "/" not in name}


# ---------------------------------------------------------------- sagas, names, routes, commands


def test_the_table_of_the_checkout_is_the_one_that_runs() -> None:
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \| ?(\w*) \|", (ROOT / "docs/sagas.md").read_text(), re.MULTILINE)
    steps = [(step.name, step.action.__name__, context_of(step.action), step.undo.__name__ if step.undo else "") for step in CHECKOUT.steps]
    assert [row for row in rows if row[0] != "step"] == steps


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_name_on_the_wire_that_is_named_exists(page: Path, facts: Facts) -> None:
    subjects = {kind.NAME.partition(".")[0] for kind in facts.messages}
    asked = {name for name in re.findall(r"`([a-z]+\.[a-z_]+)`", page.read_text()) if name.partition(".")[0] in subjects}
    known = {kind.NAME for kind in facts.messages} | {name for context in facts.modules for name in facts.invariants(context)}
    known |= {job.name for module in facts.modules.values() for job in module.jobs}
    known |= {f"{context}.{check}" for context, module in facts.modules.items() for check in module.checks}
    assert {name for name in asked - known if not name.endswith((".py", ".db")) and f'"{name}"' not in _source()} == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_route_that_is_named_is_served(page: Path, facts: Facts) -> None:
    served = Router()
    for route in facts.routes:
        served.add(route.method, route.path, route)
    text = page.read_text()
    said = re.findall(rf"\b({METHODS}) (/api/v1/[^\s`?)]+)", text) + [("", path) for path in re.findall(r"`(/api/v1/[^\s`?]+)`", text)]
    said += [("GET", path) for path in re.findall(r"`(/(?:admin|mailbox|docs|health|ready|metrics)[^\s`?]*)`", text)]
    assert [(method, path) for method, path in said if not (found := served.find(path.rstrip("/.,;:"))) or method not in {"", *found[0]}] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_is_named_exists(page: Path) -> None:
    for line in re.findall(r"\./torg\b([^`\n]*)", page.read_text()):
        words = line.partition("#")[0].split()
        if not words or not re.fullmatch(r"[a-z]+|--[a-z-]+", words[0]):
            continue
        assert words[0] in set(cli.app), f"./torg{line}"
        options = {word for word in words[1:] if word.startswith("--")} if words[0] != "test" else set()
        assert not options or options <= _options(words), f"./torg{line}"


def _options(words: Sequence[str]) -> set[str]:
    """What the command takes that these words lead to; one that only has commands of its own takes none."""
    _, apps, _ = cli.app.parse_commands(words)
    taken = apps[-1].assemble_argument_collection() if apps[-1].default_command else ()
    return {name for argument in taken for name in argument.names}


def _source() -> str:
    return "\n".join(_sources())


def _sources() -> Iterator[str]:
    for file in sorted((ROOT / "src/torg").rglob("*.py")):
        if "tests" not in file.parts:
            yield file.read_text()
