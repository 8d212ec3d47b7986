"""Engines by `docker compose`, where a Docker engine answers: their file is deploy/docker/engines.yaml."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from torg.engines.port import Engine, EngineRefused, Place, Tell
from torg.engines.run import PATIENCE, make
from torg.kit.secrets import kept_secret
from torg.kit.values import randomness

FILE = Path(__file__).parents[3] / "deploy" / "docker" / "engines.yaml"


def answers() -> bool:
    """Whether there is a Docker engine to ask, and its compose."""
    if not shutil.which("docker") or not FILE.exists():
        return False
    try:
        return all(_docker(*words, seconds=15).returncode == 0 for words in (("info",), ("compose", "version")))
    except subprocess.TimeoutExpired:
        return False


def start(engines: Mapping[str, tuple[Engine, Place]], tell: Tell, patience: float = PATIENCE) -> None:
    """Has the containers run and the engines in them ready. Raises EngineRefused."""
    tell(f"docker compose starts {', '.join(engines)}")
    _compose(engines, "up", "--detach", *engines)
    for engine, place in engines.values():
        _until_it_answers(engine, place, patience)
        engine.prepare(place)
        tell(f"{engine.name}: ready at 127.0.0.1:{place.port}")


def stop(engines: Mapping[str, tuple[Engine, Place]], tell: Tell) -> None:
    """Ends just these; their volumes stay. Raises EngineRefused."""
    _compose(engines, "rm", "--stop", "--force", *engines)
    tell(f"docker compose ended {', '.join(engines)}")


def running(engines: Mapping[str, tuple[Engine, Place]]) -> Sequence[str]:
    """The names of those that have a running container."""
    told = _compose(engines, "ps", "--format", "json")
    rows = json.loads(told) if told.startswith("[") else [json.loads(line) for line in told.splitlines() if line]  # older ones print a list, newer ones lines
    return [name for name in engines if any(row["Service"] == name and row["State"] == "running" for row in rows)]


def _compose(engines: Mapping[str, tuple[Engine, Place]], *words: str) -> str:
    done = _docker("compose", "--file", str(FILE), *words, environment=_variables(engines), seconds=1800)
    if done.returncode:
        raise EngineRefused(f"docker compose {words[0]} failed with status {done.returncode}; --native does without Docker. It said:\n{done.stderr.strip()}")
    return done.stdout.strip()


def _variables(engines: Mapping[str, tuple[Engine, Place]]) -> Mapping[str, str]:
    """What the file asks for: each engine's port and password."""
    variables: dict[str, str] = {}
    for name, (_, place) in engines.items():
        make(place.data)
        variables |= {f"{name.upper()}_PORT": str(place.port), f"{name.upper()}_PASSWORD": kept_secret(place.data / "password", randomness)}
    return variables


def _until_it_answers(engine: Engine, place: Place, patience: float) -> None:
    until = time.monotonic() + patience
    while fault := engine.fault(place):
        if time.monotonic() > until:
            raise EngineRefused(f"{engine.name} didn't answer within {patience:.0f} s: {fault}. See `docker compose --file {FILE} logs {engine.name}`.")
        time.sleep(0.2)


def _docker(*words: str, environment: Mapping[str, str] | None = None, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
    )
