"""Real servers for tests."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from torg.engines import run
from torg.engines.catalogue import named
from torg.engines.port import EngineRefused, Place
from torg.kit.ports import free_port


@contextmanager
def running(name: str) -> Iterator[Mapping[str, str]]:
    """The settings' environment of an engine that answers, for a fixture of the session: {"TORG_DB": "postgresql://…"}. It is the one whose URL the variable
    TORG_TEST_<NAME> holds, or one that is installed if need be, started in a throw-away folder and ended with the session. Where it can't be had, tests are
    skipped with the reason; with CI=true they fail."""
    with served(name) as (_, settings):
        yield settings


@contextmanager
def served(name: str) -> Iterator[tuple[Place | None, Mapping[str, str]]]:
    """As `running`, with the place of the engine for tests that kill it and start it again; None for one that somebody else runs."""
    if url := os.environ.get(f"TORG_TEST_{name.upper()}"):
        with open_folder() as folder:
            yield None, dict.fromkeys(named(name).settings(run.place_of(named(name), folder, free_port())), url)
    else:
        with started(name) as (place, settings):
            yield place, settings


@contextmanager
def started(name: str) -> Iterator[tuple[Place, Mapping[str, str]]]:
    """An empty engine of one's own: where it is, and its settings' environment."""
    engine = named(name)
    with open_folder() as folder:
        place = run.place_of(engine, folder, free_port())
        try:
            with refusal_skips():
                run.start(engine, place, _tell)
            yield place, engine.settings(place)
        finally:
            run.stop(engine, place, _tell)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder for as long as it takes, which also the system user that runs a server may enter."""
    folder = Path(tempfile.mkdtemp(prefix="torg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def refusal_skips() -> Iterator[None]:
    """An engine that can't be had here skips the test, with CI=true it fails it."""
    try:
        yield
    except EngineRefused as refusal:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(refusal))


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
