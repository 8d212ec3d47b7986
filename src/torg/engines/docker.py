"""Engines by `docker compose`, where a Docker engine answers; their file is deploy/docker/engines.yaml. Each data folder has a project, and so volumes, of
its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from torg.engines.port import Engine, EngineRefused, Place, Tell
from torg.engines.run import PATIENCE, make, remember
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
        _until_it_answers(engines, engine, place, patience)
        engine.prepare(place)
        remember(place)
        tell(f"{engine.name}: ready at 127.0.0.1:{place.port}")


def stop(engines: Mapping[str, tuple[Engine, Place]], tell: Tell) -> None:
    """Ends just these; their volumes stay. Raises EngineRefused."""
    _compose(engines, "rm", "--stop", "--force", *engines)
    tell(f"docker compose ended {', '.join(engines)}")


def states(engines: Mapping[str, tuple[Engine, Place]]) -> Mapping[str, str]:
    """What the containers of these are at ("running", "restarting", "exited" …); those without a container are left out."""
    told = _compose(engines, "ps", "--all", "--format", "json")
    rows = json.loads(told) if told.startswith("[") else [json.loads(line) for line in told.splitlines() if line]  # older ones print a list, newer ones lines
    return {row["Service"]: row["State"] for row in rows if row["Service"] in engines}


def _compose(engines: Mapping[str, tuple[Engine, Place]], *words: str) -> str:
    done = _docker("compose", "--project-name", project(engines), "--file", str(FILE), *words, environment=_variables(engines), seconds=1800)
    if done.returncode:
        raise EngineRefused(f"docker compose {words[0]} failed with status {done.returncode}; --native does without Docker. It said:\n{done.stderr.strip()}")
    return done.stdout.strip()


def project(engines: Mapping[str, tuple[Engine, Place]]) -> str:
    """What compose calls the containers of this data folder."""
    _, place = next(iter(engines.values()))
    return f"torg-engines-{sha256(bytes(place.data.parents[1])).hexdigest()[:8]}"


def _variables(engines: Mapping[str, tuple[Engine, Place]]) -> Mapping[str, str]:
    """What the file asks for: each engine's port and password."""
    variables: dict[str, str] = {}
    for name, (_, place) in engines.items():
        make(place.data)
        variables |= {f"{name.upper()}_PORT": str(place.port), f"{name.upper()}_PASSWORD": kept_secret(place.data / "password", randomness)}
    return variables


def _until_it_answers(engines: Mapping[str, tuple[Engine, Place]], engine: Engine, place: Place, patience: float) -> None:
    since = time.monotonic()
    while fault := engine.fault(place):
        if (state := states(engines).get(engine.name, "gone")) not in {"created", "running"}:
            raise EngineRefused(f"{engine.name}'s container is {state}. {_last_words(engines, engine)}")
        if time.monotonic() - since > patience:
            raise EngineRefused(f"{engine.name} didn't answer within {patience:.0f} s: {fault}. {_last_words(engines, engine)}")
        time.sleep(0.5)


def _last_words(engines: Mapping[str, tuple[Engine, Place]], engine: Engine) -> str:
    told = _compose(engines, "logs", "--no-log-prefix", "--tail", "8", engine.name)
    return "\n".join(["Its last words:", *(f"  | {line}" for line in told.splitlines())])


def _docker(*words: str, environment: Mapping[str, str] | None = None, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", *words], capture_output=True, text=True, check=False, timeout=seconds, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}
    )
