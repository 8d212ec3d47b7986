"""Gets what an engine is made of from the registries, with their ordinary clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from torg.engines.port import EngineRefused, Tell


def run(
    command: Sequence[str | Path], what: str, log: Path, *, folder: Path | None = None, environment: Mapping[str, str] | None = None, seconds: float = 900
) -> None:
    """Runs it to its end, its words appended to the log. Raises EngineRefused with the last of them when it fails.
    `what` says what didn't work then, like "PostgreSQL can't be installed"."""
    words = [str(word) for word in command]
    with log.open("ab") as out:
        since = out.tell()
        try:
            subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True, timeout=seconds, cwd=folder, env={**os.environ, **(environment or {})}
            )  # fmt: skip
        except FileNotFoundError as error:
            raise EngineRefused(f"{what}: {words[0]} isn't there.") from error
        except subprocess.TimeoutExpired as error:
            raise EngineRefused(f"{what}: {words[0]} took longer than {seconds:.0f} s. All it said is in {log}") from error
        except subprocess.CalledProcessError as error:
            raise EngineRefused(f"{what}: {words[0]} ended with status {error.returncode}. All it said is in {log}:\n{_last(log, since)}") from error


def python_packages(target: Path, lock: Path, what: str, log: Path) -> None:
    """Installs what a list with hashes names (uv pip compile --generate-hashes) into a folder of its own, ready-made builds only; the folder is complete or
    not there. Raises EngineRefused."""
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    options = ["--only-binary", ":all:", "--require-hashes", "--no-deps", "--target", str(fresh), "-r", str(lock)]
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", sys.executable, *options]
    else:
        command = [sys.executable, "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off", *options]
    run(command, what, log)
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)


def debian_packages(names: Sequence[str], what: str, log: Path, tell: Tell) -> None:
    """Installs packages of the system, where it is a Debian and this is root. Raises EngineRefused."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise EngineRefused(f"{what}: install {', '.join(names)} (here only root of a Debian could do it for you).")
    tell(f"apt-get installs {', '.join(names)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "-qq", "update"], what, log, environment=quiet)
    run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *names], what, log, environment=quiet)


def _last(log: Path, since: int, lines: int = 6) -> str:
    with log.open("rb") as words:
        words.seek(since)
        return "\n".join(f"  | {line}" for line in words.read().decode(errors="replace").splitlines()[-lines:])
