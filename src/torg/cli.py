"""The command line: `torg up`, `torg test` and the rest. Each command imports what it needs when it is called."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from torg import __version__
from torg.kit import settings as settings_

app = App(name="torg", version=__version__, help="Torg: a marketplace that starts on a laptop and grows into a fleet.")
ROOT = Path(__file__).parents[2]


@app.command
def up(
    *,
    port: int | None = None,
    host: str | None = None,
    data: Path | None = None,
    topology: str | None = None,
    instances: str = "1",
    engines: Literal["embedded", "server"] | None = None,
    empty: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Open the shop on the data folder, in one process or in several. The first start fills it with the demonstration catalogue.

    Parameters
    ----------
    port
        Where to listen (TORG_PORT, 8000).
    host
        The address to listen at (TORG_HOST, 127.0.0.1).
    data
        The folder that keeps everything (TORG_DATA, var/ in the checkout).
    topology
        Which contexts run together (TORG_TOPOLOGY, all): all in one process; services, each in one of its own; groups such as order,payment/catalog,
        everything else in a process of its own; or a TOML file of lines context = "process".
    instances
        How many of each process, side by side behind one address: 3, or order=2,inventory=2. More than one needs server engines.
    engines
        server: those that the settings name, else those that `torg engines up` runs on this data folder. embedded: files, whatever the settings name.
        Without it, as the settings say.
    empty
        Start without demonstration data and accounts.
    """
    from torg import opening

    chosen = {"port": port, "host": host, "data": data and str(data), "demo": False if empty else None, "topology": topology}
    settings = _settings({name: value for name, value in chosen.items() if value is not None})
    _or_explain(lambda: opening.up(opening.with_engines(settings, engines), instances), *opening.FAILURES)


@app.command
def serve(contexts: str, *, port: int | None = None, host: str | None = None, data: Path | None = None, name: str = "", front: int | None = None) -> None:
    """Run some contexts in this process; the others run elsewhere (TORG_DISCOVERY). Answers the other processes, and what a gateway hands on.

    Parameters
    ----------
    contexts
        Separated by commas: order, or order,payment; gateway listens at the shop's address, acquirer is the sandbox of one.
    port
        Where to listen (TORG_PORT, 8000).
    host
        The address to listen at (TORG_HOST, 127.0.0.1).
    data
        The folder that keeps what the embedded engines keep (TORG_DATA, var/ in the checkout).
    name
        As what `torg up` started this process; it then ends with its standard input.
    front
        The descriptor of the socket that `torg up` has for the gateway.
    """
    from torg import serve as serving

    chosen = {"port": port, "host": host, "data": data and str(data)}
    settings = _settings({name: value for name, value in chosen.items() if value is not None})
    _or_explain(lambda: serving.run_part(settings, contexts, name, front), *serving.FAILURES)


@app.command
def seed(*, data: Path | None = None) -> None:
    """Fill a shop whose processes run already (`torg serve`) with the demonstration: waits until all answer, does what is missing, and ends.

    Parameters
    ----------
    data
        The folder that says what was done before, and keeps the accounts' password and the fleet's secret (TORG_DATA, var/ in the checkout).
    """
    from torg import opening

    settings = _settings({"data": str(data)} if data else {})
    _or_explain(lambda: opening.fill(settings), *opening.FAILURES)


@app.command
def replay(
    *,
    days: int | None = None,
    speed: float = 0,
    to: str | None = None,
    password: str = "",
    buyers: int = 32,
    record: Path | None = None,
    data: Path | None = None,
) -> None:
    """Play the demonstration's year of purchases against a running shop, as orders through its public API. Started again, it goes on where it was.

    Parameters
    ----------
    days
        Only the year's first so many days.
    speed
        Times real time; without it, as fast as the shop takes them.
    to
        The shop's address (http://, TORG_HOST, TORG_PORT: http://127.0.0.1:8000).
    password
        The demonstration accounts' password (TORG_DEMO_PASSWORD, or what the data folder keeps).
    buyers
        How many buy at the same time.
    record
        The file of acknowledged orders, a JSON line each (replay.ndjson in the data folder).
    data
        The shop's data folder (TORG_DATA, var/ in the checkout).
    """
    from torg.demo import purchases, seed, telling
    from torg.demo.ledger import Ledger
    from torg.demo.replay import Plan
    from torg.kit import values
    from torg.kit.secrets import kept_secret

    given = {"data": data and str(data), "demo_password": password}
    settings = _settings({name: value for name, value in given.items() if value})
    folder = Path(settings.data)
    secret = kept_secret(folder / "replay-secret", values.randomness)
    households = {household.id: household for household in purchases.households()}
    plan = Plan(list(purchases.purchases(days)), households, seed.demo_password(settings), secret, speed, buyers, settings.currency)
    sys.exit(telling.play(plan, to or f"http://{settings.host}:{settings.port}", Ledger(record or folder / "replay.ndjson")))


@app.command
def bench(
    *only: str,
    repeats: int = 5,
    quick: Annotated[bool, Parameter(negative="")] = False,
    topology: str = "all",
    out: Path | None = None,
) -> None:
    """Measure this checkout on this machine, in turns with a bare application on the same server. Takes some minutes and wants the machine for itself.

    Parameters
    ----------
    only
        Just these: starts, pages, search, carts, orders, telemetry, overload, flash, logins, calm, gateway, topologies. The last starts real engines, and is
        measured only when it is named.
    repeats
        How often each is measured; medians are told.
    quick
        A tiny shop and short bursts, to see that the measurements work.
    topology
        Of the shop that overload, flash and logins load: all, services, … with all of its processes on one core.
    out
        The JSON file of all figures (var/bench/, named for the time, in the checkout).
    """
    from torg.kit import values

    sys.path.insert(0, str(ROOT))
    measuring = importlib.import_module("bench.run")  # beside src/: the benchmarks are no part of the package
    kept = out or ROOT / "var" / "bench" / f"{values.utc_now():%Y-%m-%dT%H-%M-%S}.json"
    sys.exit(measuring.run(only, repeats, quick, kept, topology))


@app.command
def test(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Run the project's tests, all of them on all cores; arguments go to pytest. With --topology services (or another one) the journeys run against its
    processes."""
    import pytest

    os.chdir(ROOT)
    elsewhere = any(word.partition("=")[0] == "--topology" for word in arguments)
    named = any(Path(word.partition("::")[0]).exists() for word in arguments)
    side_by_side = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "loadfile", "--no-loadscope-reorder")  # one more than cores: some wait
    sys.exit(pytest.main([*(arguments or side_by_side), *(["tests/journeys"] if elsewhere and not named else [])]))


@app.command
def chaos(
    *,
    minutes: float = 10,
    topology: str = "services",
    engines: Literal["embedded", "server"] = "server",
    seed: int = 1,
    buyers: int = 24,
    only: Annotated[tuple[str, ...], Parameter(negative="", show_default=False)] = (),
    report: Path | None = None,
    keep: Path | None = None,
) -> None:
    """Open a shop, have buyers order from it, do to its processes, engines and network whatever may happen to them, and count what came of it.

    Parameters
    ----------
    minutes
        For so long; the count at the end takes some more.
    topology
        Which contexts run together: services, all, or groups such as order,payment/catalog.
    engines
        server: all six, fresh ones, each behind a proxy that makes trouble. embedded: files.
    seed
        Draws which faults come when.
    buyers
        How many buy at the same time.
    only
        Just these sorts of faults: kill, failpoint, pause, engine, network, wire, disk, clock, offsets, change, acquirer, backup.
    report
        The page with the time line (var/chaos/, named for the time, in the checkout).
    keep
        An empty folder that keeps everything afterwards: records, logs, what those outside were told.
    """
    from torg.kit import values

    sys.path.insert(0, str(ROOT))
    playing = importlib.import_module("tests.chaos.play")  # beside src/: it is no part of the package
    kept = report or ROOT / "var" / "chaos" / f"{values.utc_now():%Y-%m-%dT%H-%M-%S}.html"
    sorts = tuple(sort.strip() for each in only for sort in each.split(","))
    wanted = playing.Wanted(minutes, topology, engines == "server", seed, buyers, sorts, keep, playing.Calm.of(minutes))
    _or_refuse(playing.refusal(wanted))
    sys.exit(playing.play(wanted, kept))


@app.command
def simulate(
    *,
    seeds: int = 100,
    first: int = 1,
    seed: int | None = None,
    topology: Literal["all", "fleet"] = "all",
    orders: int = 240,
    jobs: int | None = None,
    story: Path | None = None,
    bugs: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Run the whole shop on made-up time, disks and networks that fail as seeds say, and judge what came of it. The same seed gives the same run.

    Parameters
    ----------
    seeds
        How many, from `first` on. Looking for bugs, after how many it is given up.
    first
        The first of them.
    seed
        Just this one; when it fails, the shortest schedule that still does is looked for and told.
    topology
        all: every context in one process. fleet: each in one of its own, behind a gateway.
    orders
        How many errands people have in each run; most of them are orders.
    jobs
        How many processes simulate side by side; as many as there are cores.
    story
        The file for everything that happened in the one seed, line by line.
    bugs
        Puts known bugs in, one after the other, and tells how many seeds it takes to notice each.
    """
    from torg.simulation import cli as simulation

    wanted = range(seed, seed + 1) if seed is not None else range(first, first + seeds)
    chosen = simulation.Chosen(topology=topology, orders=orders, jobs=(os.cpu_count() or 1) if jobs is None else jobs, story=story)
    _or_refuse(simulation.refusal(wanted, chosen))
    sys.exit(simulation.simulate(wanted, chosen, bugs))


def _settings(overrides: dict[str, object]) -> settings_.Settings:
    try:
        return settings_.load(os.environ, overrides)
    except settings_.BadSettings as error:
        from torg.kit.scrubbing import clean

        print(f"torg: {clean(str(error))}", file=sys.stderr)
        sys.exit(2)


def _or_refuse(wrong: str) -> None:
    if wrong:
        print(f"torg: {wrong}", file=sys.stderr)
        sys.exit(2)


def _or_explain(work: Callable[[], None], *expected: type[Exception]) -> None:
    from torg.serve import fail

    try:
        work()
    except expected as error:
        fail(error)


app.command("torg.engines.cli:app", name="engines")
app.command("torg.topics:app", name="topics")
app.command("torg.keys:app", name="keys")
app.command("torg.identities:app", name="identities")
app.command("torg.clients:app", name="oauth")
app.command("torg.gateway:app", name="gateway")
app.command("torg.audit:app", name="audit")
app.command("torg.policy:app", name="policy")
app.command("torg.events:log", name="log")
app.command("torg.sbom:sbom", name="sbom")
app.command("torg.shards:app", name="shards")
app.command("torg.recovery.commands:backup", name="backup")
app.command("torg.recovery.commands:backup_key", name="backup-key")
app.command("torg.recovery.commands:restore", name="restore")
app.command("torg.recovery.rebuild:app", name="rebuild")
app.command("torg.recovery.redrive:redrive", name="redrive")


def main() -> None:
    """The entry of `./torg`."""
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        app.resolved_commands()  # else the list has no sentence about those that are imported when they are called
    try:
        app()
    except KeyboardInterrupt:  # while a command is being imported; one that has begun sees to it itself
        sys.exit(128 + signal.SIGINT)
