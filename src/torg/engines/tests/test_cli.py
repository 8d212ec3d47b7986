from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from torg.engines import run
from torg.engines.catalogue import named
from torg.kit.ports import free_port
from torg.kit.testing.engines import open_folder, refusal_skips

DOCKER = """#!/bin/sh
echo "$*" >>"$DOCKER_TRACE"
case "$*" in
  info | 'compose version') exit "${DOCKER_AWAY:-0}" ;;
  *' ps '*) echo "{\\"Service\\": \\"redis\\", \\"State\\": \\"${DOCKER_STATE:-running}\\"}" ;;
  *' up '*) echo 'no space left on device' >&2; exit "${DOCKER_UP:-17}" ;;
  *' logs '*) echo 'exec format error' ;;
esac
"""


@dataclass(frozen=True)
class Cli:
    """The command line on a data folder of its own, where a Docker engine answers, or not."""

    data: Path
    environment: dict[str, str]

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "torg", "engines", *words, "--data", str(self.data)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**self.environment, **environment})

    def docker_was_asked(self) -> list[str]:
        return Path(self.environment["DOCKER_TRACE"]).read_text().splitlines()


@pytest.fixture
def torg(tmp_path: Path) -> Iterator[Cli]:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    environment |= {
        "PATH": f"{docker.parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DOCKER_TRACE": str(tmp_path / "trace"),
        "DOCKER_AWAY": "1",
    }
    with open_folder() as folder:
        cli = Cli(folder, environment)
        yield cli
        cli("down", DOCKER_AWAY="1")


@pytest.mark.slow
def test_engine_goes_up_is_shown_and_goes_down(torg: Cli) -> None:
    with refusal_skips():
        run.install(named("postgres"), run.place_of(named("postgres"), torg.data), print)
    port = free_port()
    up = torg("up", f"postgres:{port}")
    assert up.returncode == 0, up.stderr
    assert "no Docker engine answers here" in up.stderr
    assert up.stdout.startswith("export TORG_DB=postgresql://torg:")
    assert up.stdout.endswith(f"@127.0.0.1:{port}/torg\n")
    assert torg("env").stdout == up.stdout
    file = torg.data / "engines" / "env"
    assert file.stat().st_mode & 0o077 == 0
    sourced = subprocess.run(["sh", "-c", f"set -a; . {shlex.quote(str(file))}; printenv TORG_DB"], capture_output=True, text=True, check=True)
    assert f"export TORG_DB={sourced.stdout}" == up.stdout
    status = torg("status")
    assert (status.returncode, "ready" in status.stdout, str(port) in status.stdout) == (0, True, True)
    down = torg("down", "postgres")
    assert (down.returncode, "ended" in down.stderr) == (0, True)
    assert file.read_text() == ""
    assert "ready" not in torg("status").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(("postgras",), "There is no engine 'postgras'; known are postgres"), (("postgres:0",), "a port is a number"), (("postgres:x",), "a port is a number")],
)
def test_wrong_name_or_port_is_a_wrong_command(torg: Cli, words: tuple[str, ...], sentence: str) -> None:
    answer = torg("up", *words)
    assert answer.returncode == 2
    assert sentence in answer.stderr


def test_nothing_to_end_is_said(torg: Cli) -> None:
    answer = torg("down")
    assert (answer.returncode, "none of them runs" in answer.stderr) == (0, True)


def test_docker_that_answers_is_asked_and_its_failure_is_told(torg: Cli) -> None:
    answer = torg("up", "redis", DOCKER_AWAY="0")
    assert answer.returncode == 1
    assert "docker compose up failed with status 17; --native does without Docker" in answer.stderr
    assert "no space left on device" in answer.stderr
    assert any(line.endswith("engines.yaml up --detach redis") for line in torg.docker_was_asked())


def test_container_that_dies_again_and_again_is_not_waited_for(torg: Cli) -> None:
    answer = torg("up", f"redis:{free_port()}", DOCKER_AWAY="0", DOCKER_UP="0", DOCKER_STATE="restarting")
    assert answer.returncode == 1
    assert "redis's container is restarting. Its last words:\n  | exec format error" in answer.stderr


def test_containers_are_ended_by_docker_and_just_those(torg: Cli) -> None:
    answer = torg("down", DOCKER_AWAY="0")
    assert answer.returncode == 0
    assert [line.partition("engines.yaml ")[2] for line in torg.docker_was_asked() if " rm " in line] == ["rm --stop --force redis"]
