"""Topologies: which contexts run together in a process. Data, and how it is written."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SPARED: Final = ("analytics.clickhouse", "catalog.index", "notification.mail")
"""Checks of what the shop sells on without: once it was ready, they are told of and take no process out of rotation."""

DISPENSABLE: Final = frozenset({"notification", "review", "analytics", "admin"})
"""Contexts that the shop sells on without. Where they share a process with others, nothing of theirs takes that out of rotation."""

CONTEXTS: Final = ("user", "catalog", "cart", "order", "payment", "inventory", "shipping", "notification", "review", "analytics", "admin", "web")
"""Every context, in the order in which they start."""

ALL: Final = CONTEXTS
"""Everything in one process: the default."""

GATEWAY: Final = "gateway"
"""What listens at the shop's address when contexts run in several processes."""

SANDBOX: Final = "acquirer"
"""The sandbox of an acquirer. It runs with payments, and by itself where there are several instances of those."""

OPERATOR: Final = "operator"
"""The command line, as it asks the processes of a fleet."""
NAMES: Final = (*CONTEXTS, GATEWAY)
SERVICES: Final = (*NAMES, SANDBOX, OPERATOR)
"""Who has a key pair of its own."""
MAIN: Final = "main"
"""The process of everything that no other process is named for."""

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "cart": ("catalog", "inventory"),
    "order": ("user", "cart", "catalog", "inventory", "shipping"),
    "web": ("user", "catalog", "cart"),
    "gateway": ("user", "catalog", "cart", "order", "payment", "inventory", "shipping"),
}
"""Whom a context cannot do without for what it is there for; the gateway's are those that a checkout takes."""

ASKED_BY: Final[Mapping[str, frozenset[str]]] = {
    "user": frozenset({"admin", "order", "web"}),
    "catalog": frozenset({"admin", "analytics", "cart", "inventory", "order", "web"}),
    "cart": frozenset({"admin", "order", "user", "web"}),
    "order": frozenset({"admin", "cart", "shipping", "user", "web"}),
    "payment": frozenset({"admin", "order", "user", "web"}),
    "inventory": frozenset({"admin", "cart", "order"}),
    "shipping": frozenset({"admin", "order", "user", "web"}),
    "notification": frozenset({"user", "web"}),
    "review": frozenset({"admin", "user", "web"}),
    "analytics": frozenset({"admin", "catalog"}),
    "admin": frozenset({"gateway"}),
}
"""Who may ask a context at all; the others it refuses. A test holds it against what contexts import of each other."""
ASKED_BY_ALL: Final = frozenset({"admin.record_audit", "user.authenticate", "user.get_public_keys"})
"""What every process asks that answers people: who they are, and to file what the staff do."""

BETWEEN: Final[Mapping[str, frozenset[str]]] = {
    "desk": frozenset({"admin", OPERATOR}),
    "log": frozenset((*CONTEXTS, OPERATOR)),
    "api": frozenset((*SERVICES,)),
    "answers": frozenset((*SERVICES,)),
}
"""Who may ask a process for what is no context's: to do something at its desks, for rows of its logs, for its description, and to forget kept answers."""


def may_ask(caller: str, context: str, message: str) -> bool:
    """Whether a context, or the command line, may ask another one for this."""
    if context in BETWEEN:
        return caller in BETWEEN[context]
    return caller in (context, OPERATOR) or message in ASKED_BY_ALL or caller in ASKED_BY.get(context, ())


def spares(contexts: Collection[str], check: str) -> bool:
    """Whether a process of these contexts stays ready while a check says that something is wrong."""
    context = check.removeprefix("task ").partition(".")[0]
    return check in SPARED or (context in DISPENSABLE and not DISPENSABLE.issuperset(contexts))


class BadTopology(Exception):
    """A sentence: what was wrong and what would be right."""


@dataclass(frozen=True)
class Topology:
    """Processes by name, each with its contexts in the order in which they start."""

    processes: Mapping[str, tuple[str, ...]]

    @property
    def alone(self) -> bool:
        """Whether everything runs in one process, which then needs no gateway."""
        return len(self.processes) == 1

    def process_of(self, context: str) -> str:
        return next(name for name, contexts in self.processes.items() if context in contexts)


def read(text: str) -> Topology:
    """`all`, `services`, groups such as `order,payment/catalog` (everything else runs together), or a TOML file of lines `context = "process"`.
    Raises BadTopology."""
    if text == "all":
        return Topology({MAIN: ALL})
    if text == "services":
        return _grouped({name: name for name in NAMES})
    if text.endswith(".toml"):
        return _grouped(_file(Path(text)))
    places: dict[str, str] = {}
    for group in text.split("/"):
        for name in (names := [name.strip() for name in group.split(",")]):
            if name in places:
                raise BadTopology(f"topology {text!r} names {name} twice: a context runs in one process")
            places[name] = ",".join(names)
    return _grouped(places)


def _file(file: Path) -> dict[str, str]:
    try:
        given = tomllib.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadTopology(f"the topology {file} cannot be read: {error}") from error
    if wrong := [name for name, process in given.items() if not isinstance(process, str) or not process]:
        raise BadTopology(f'the topology {file} has lines like inventory = "main": each context\'s process by its name; wrong are {", ".join(wrong)}')
    return given


def _grouped(places: Mapping[str, str]) -> Topology:
    _refuse_unknown(places)
    processes: dict[str, tuple[str, ...]] = {}
    for name in NAMES:
        process = places.get(name, MAIN)
        processes[process] = (*processes.get(process, ()), name)
    if len(processes) == 1:
        return Topology({MAIN: ALL})
    if processes[Topology(processes).process_of(GATEWAY)] == (GATEWAY,) or MAIN not in processes:
        return Topology(processes)
    return Topology({MAIN: processes.pop(MAIN), **processes})


def _refuse_unknown(names: Iterable[str]) -> None:
    if unknown := [name for name in names if name not in NAMES]:
        raise BadTopology(
            f"there is no context {', '.join(map(repr, unknown))}: a topology is 'all', 'services', groups of contexts like 'order,payment/catalog', "
            f"or a file ending in .toml; contexts are {', '.join(NAMES)}"
        )
