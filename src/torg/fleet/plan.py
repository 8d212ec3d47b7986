"""Which processes a topology takes, how many of each, and what stands in the way. No process is touched here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torg.kit.settings import Settings
from torg.topology import ALL, CONTEXTS, GATEWAY, MAIN, SANDBOX, BadTopology, Topology


@dataclass(frozen=True)
class Planned:
    """One process. `alone`: two of it at a time would be in each other's way, so that it is stopped before its successor starts."""

    name: str
    contexts: tuple[str, ...]
    alone: bool = True

    @property
    def front(self) -> bool:
        """Whether it listens at the shop's address."""
        return GATEWAY in self.contexts


def plan(topology: Topology, instances: Mapping[str, int], settings: Settings) -> tuple[Planned, ...]:
    """The processes in the order in which they start; the gateway's last. Raises BadTopology."""
    if unknown := [name for name in instances if name not in topology.processes]:
        raise BadTopology(f"there is no process {', '.join(unknown)} in this topology, but {', '.join(topology.processes)}: --instances names processes")
    many = {name: instances.get(name, 1) for name in topology.processes}
    processes = {name: _with_gateway(contexts, topology) for name, contexts in topology.processes.items()}
    planned: list[Planned] = []
    for name, contexts in processes.items():
        _refuse_several(name, contexts, many[name], settings)
        whole = _with_sandbox(contexts, many[name], settings)
        planned += [Planned(name if number == 1 else f"{name}.{number}", whole, not _shared(whole, settings)) for number in range(1, many[name] + 1)]
    if not settings.acquirer_url and not any(SANDBOX in process.contexts for process in planned):
        planned.append(Planned(SANDBOX, (SANDBOX,)))
    return tuple(sorted(planned, key=lambda process: process.front))


def read_instances(text: str, topology: Topology) -> dict[str, int]:
    """`3` for three of each process, or `order=2,inventory=2`. Raises BadTopology."""
    try:
        if text.isdecimal():
            counted = dict.fromkeys(topology.processes, int(text))
        else:
            counted = {name.strip(): int(number) for name, _, number in (part.partition("=") for part in text.split(",") if part)}
    except ValueError:
        counted = {"": 0}
    if not all(1 <= number <= 64 for number in counted.values()):
        raise BadTopology(f"--instances {text!r}: say how many of each process (1 to 64), or order=2,inventory=2")
    return counted


def stopping_order(planned: Sequence[Planned]) -> list[list[Planned]]:
    """Who ends together: first those that take requests in, then those that ask others, then the rest."""
    front = [process for process in planned if process.front]
    web = [process for process in planned if "web" in process.contexts and not process.front]
    return [group for group in (front, web, [process for process in planned if process not in front and process not in web]) if group]


def _with_gateway(contexts: tuple[str, ...], topology: Topology) -> tuple[str, ...]:
    return (*ALL, GATEWAY) if topology.alone else contexts


def _with_sandbox(contexts: tuple[str, ...], instances: int, settings: Settings) -> tuple[str, ...]:
    """The sandbox lives with payments, unless there are several of them or another acquirer is named."""
    return (*contexts, SANDBOX) if "payment" in contexts and instances == 1 and not settings.acquirer_url else contexts


def _refuse_several(name: str, contexts: tuple[str, ...], instances: int, settings: Settings) -> None:
    if instances == 1:
        return
    of = "the whole shop" if name == MAIN else name
    if embedded := [context for context in contexts if context in CONTEXTS and not _has_server(context, settings)]:
        raise BadTopology(
            f"{instances} instances of {of} need a database server, and {embedded[0]} keeps its records in a file: "
            "set TORG_DB (postgresql://…); ./torg engines up postgres starts one"
        )
    if "catalog" in contexts and not settings.index:
        raise BadTopology(
            f"{instances} instances of {of} need a search server, and catalog keeps its index in files: set TORG_INDEX (elasticsearch://…); "
            "./torg engines up elastic starts one"
        )


def _shared(contexts: tuple[str, ...], settings: Settings) -> bool:
    """Whether two processes of these contexts may run side by side."""
    own = [context for context in contexts if context in CONTEXTS]
    return SANDBOX not in contexts and all(_has_server(context, settings) for context in own) and ("catalog" not in own or bool(settings.index))


def _has_server(context: str, settings: Settings) -> bool:
    return bool(settings.db or settings.databases.get(context))
