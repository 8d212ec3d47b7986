"""The start script from a user's side: a checkout of its own, a PATH of its own, and an installer that does what the test says."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = (
    "sh",
    "cat",
    "chmod",
    "cmp",
    "cp",
    "cut",
    "date",
    "dirname",
    "env",
    "grep",
    "ls",
    "ln",
    "mkdir",
    "rm",
    "rmdir",
    "readlink",
    "sed",
    "sleep",
    "tail",
    "tr",
    "uname",
)
MAIN = "import os, sys; print('torg runs', sys.argv[1:], os.getcwd(), 'TORG_VENV' in os.environ)\n"
FAKE_UV = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
for last; do :; done
case $1 in
  venv) mkdir -p "$last/bin"; : > "$last/pyvenv.cfg"; ln -sf "$REAL_PYTHON" "$last/bin/python" ;;
  pip) eval "${INSTALLING:-:}" ;;
esac
"""


def executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@dataclass
class Checkout:
    """A folder with the script, two small lists and a program; nothing on the PATH but the system's plain tools and a fake uv."""

    folder: Path
    bin: Path

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    @property
    def calls(self) -> list[str]:
        """What the fake uv was asked for, by its first word."""
        log = self.bin / "calls"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def start(self, *words: str, script: Path | None = None, cwd: Path | None = None, **environment: str) -> subprocess.Popen[str]:
        known = {
            "PATH": str(self.bin),
            "CALLS": str(self.bin / "calls"),
            "REAL_PYTHON": os.path.realpath(sys.executable),
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.Popen(
            [str(script or self.folder / "torg"), *words],
            cwd=cwd or self.folder.parent,
            env=known | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a suite in the background ignores SIGINT
        )

    def run(self, *words: str, script: Path | None = None, cwd: Path | None = None, **environment: str) -> tuple[int, str, str]:
        """Gives status, output and error output."""
        started = self.start(*words, script=script, cwd=cwd, **environment)
        out, err = started.communicate(timeout=180)
        return started.returncode, out, err


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "a shop", tmp_path / "bin")
    (made.folder / "src/torg").mkdir(parents=True)
    (made.folder / "src/torg/__main__.py").write_text(MAIN)
    shutil.copy(ROOT / "torg", made.folder)
    (made.folder / "requirements.lock").write_text("one==1 \\\n    --hash=sha256:00\n")
    (made.folder / "requirements-dev.lock").write_text("two==2 \\\n    --hash=sha256:00\n")
    made.bin.mkdir()
    for tool in TOOLS:
        (made.bin / tool).symlink_to(str(shutil.which(tool)))
    executable(made.bin / "uv", FAKE_UV)
    (made.bin / "python3").symlink_to(os.path.realpath(sys.executable))
    return made


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)


def test_first_start_installs_and_the_second_goes_straight_on(checkout: Checkout) -> None:
    status, out, err = checkout.run("up", "--port", "1")
    assert (status, out) == (0, f"torg runs ['up', '--port', '1'] {checkout.folder.parent} False\n")
    assert "installing 1 libraries of requirements.lock" in err
    assert checkout.run("up") == (0, f"torg runs ['up'] {checkout.folder.parent} False\n", "")
    assert checkout.calls == ["venv", "pip"]


def test_changed_list_is_installed_into_the_same_folder(checkout: Checkout) -> None:
    checkout.run()
    (checkout.folder / "requirements.lock").write_text("one==1.1 --hash=sha256:00\n")
    assert checkout.run()[0] == 0
    assert checkout.run()[2] == ""
    assert checkout.calls == ["venv", "pip", "pip"]


def test_tests_need_the_second_list_too(checkout: Checkout) -> None:
    checkout.run()
    _, out, err = checkout.run("test", "-k", "some words")
    assert "['test', '-k', 'some words']" in out
    assert "requirements-dev.lock" in err
    assert checkout.run("test")[2] == ""
    assert checkout.calls == ["venv", "pip", "pip"]


def test_starts_through_a_symlink_from_another_folder_with_words_kept_apart(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "far away").mkdir()
    (tmp_path / "far away/first").symlink_to("../a shop/torg")
    (tmp_path / "second link").symlink_to(tmp_path / "far away/first")
    status, out, _ = checkout.run("a b", "*", "", script=tmp_path / "second link", cwd=tmp_path / "far away")
    assert (status, out) == (0, f"torg runs ['a b', '*', ''] {tmp_path / 'far away'} False\n")
    assert checkout.venv.is_dir()


def test_libraries_can_live_in_another_folder(checkout: Checkout, tmp_path: Path) -> None:
    assert checkout.run(TORG_VENV=str(tmp_path / "libraries"))[1].endswith("False\n")
    assert (tmp_path / "libraries/requirements.lock").exists()
    assert not checkout.venv.exists()


def test_folder_with_other_things_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").touch()
    status, _, err = checkout.run(TORG_VENV=str(tmp_path / "photos"))
    assert (status, (tmp_path / "photos/cat.jpg").exists()) == (1, True)
    assert "photos holds something else than Python libraries; name a new folder in TORG_VENV" in err


def test_folder_that_cannot_be_written_is_named(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = checkout.run(TORG_VENV=str(tmp_path / "file/venv"))
    assert status == 1
    assert f"can't write to {tmp_path / 'file'}" in err
    assert "TORG_VENV=/path" in err


def test_old_python_is_refused_with_what_was_found(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    (checkout.bin / "python3").unlink()
    executable(checkout.bin / "python3", "#!/bin/sh\necho '3.9 old /usr/bin/python3.9'\n")
    status, _, err = checkout.run()
    assert status == 1
    assert "needs Python 3.11 or newer; here python3 is 3.9. Install one" in err


def test_newer_python_under_another_name_is_found_behind_an_old_one(checkout: Checkout) -> None:
    (checkout.bin / "python3").rename(checkout.bin / "python3.12")
    executable(checkout.bin / "python3", "#!/bin/sh\necho '3.9 old /usr/bin/python3.9'\n")
    executable(checkout.bin / "python3.13", "#!/bin/sh\necho 'no such version is chosen' >&2\nexit 127\n")
    assert checkout.run()[0] == 0
    assert f"--python {os.path.realpath(sys.executable)}" in (checkout.bin / "calls").read_text()


def test_machine_without_python_is_told_what_to_install(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    (checkout.bin / "python3").unlink()
    status, _, err = checkout.run()
    assert status == 1
    assert "there is no Python here. Install one" in err


def test_missing_venv_module_names_the_package(checkout: Checkout) -> None:
    (checkout.bin / "uv").unlink()
    (checkout.bin / "python3").unlink()
    bare = checkout.bin / "python3.11"
    executable(bare, f"#!/bin/sh\ncase $2 in *ensurepip*) exit 1 ;; esac\necho '3.11 new {bare}'\n")
    status, _, err = checkout.run()
    assert status == 1
    assert "apt-get install python3.11-venv" in err
    assert not checkout.venv.exists()


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE", "differs from the one in the list"),
        ("NewConnectionError: Temporary failure in name resolution", "can't be reached: check the network"),
        ("SSLError: certificate verify failed", "certificate isn't trusted here"),
        ("ERROR: No matching distribution found for one==1", "gave no ready-made build"),
        ("a loud bang", "ended with status 7"),
    ],
)
def test_failed_installation_says_why_and_keeps_the_log(checkout: Checkout, said: str, sentence: str) -> None:
    status, out, err = checkout.run(INSTALLING=f"echo '{said}'; exit 7")
    assert (status, out) == (1, "")
    assert sentence in err
    assert said in err
    assert f"All it said is in {checkout.folder}/.venv.log" in err
    assert said in (checkout.folder / ".venv.log").read_text()
    assert not (checkout.folder / ".venv.lock").exists()


def test_failed_installation_is_begun_anew(checkout: Checkout) -> None:
    checkout.run(INSTALLING=': > "${CALLS%/*}/../a shop/.venv/half"; exit 1')
    assert (checkout.venv / "half").exists()
    assert checkout.run()[0] == 0
    assert not (checkout.venv / "half").exists()
    assert checkout.calls == ["venv", "pip", "venv", "pip"]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_installation_never_looks_complete(checkout: Checkout, sent: signal.Signals, status: int) -> None:
    started = checkout.start(INSTALLING='echo $$ > "$CALLS.pid"; exec sleep 30')
    until(lambda: (checkout.bin / "calls.pid").exists() and (checkout.bin / "calls.pid").read_text() != "")
    started.send_signal(sent)
    _, err = started.communicate(timeout=180)
    assert started.returncode == status
    assert "the next start begins anew" in err
    assert not (checkout.folder / ".venv.lock").exists()
    until(lambda: not Path(f"/proc/{(checkout.bin / 'calls.pid').read_text().strip()}").exists())
    assert checkout.run()[0] == 0
    assert checkout.calls == ["venv", "pip", "venv", "pip"]


def test_killed_installers_turn_is_inherited_at_once(checkout: Checkout) -> None:
    started = checkout.start(INSTALLING='echo $$ > "$CALLS.pid"; exec sleep 30')
    until(lambda: (checkout.bin / "calls.pid").exists() and (checkout.bin / "calls.pid").read_text() != "")
    started.kill()
    os.kill(int((checkout.bin / "calls.pid").read_text()), signal.SIGKILL)
    started.communicate(timeout=180)
    assert (checkout.folder / ".venv.lock").exists()
    status, _, err = checkout.run()
    assert status == 0
    assert "waiting for it" not in err
    assert not (checkout.folder / ".venv.lock").exists()


def test_turn_without_an_owner_is_waited_for_and_named(checkout: Checkout) -> None:
    (checkout.folder / ".venv.lock").mkdir()
    started = checkout.start()
    assert started.stderr
    said = started.stderr.readline()
    assert f"(process unknown) is installing the libraries; waiting for it. If there is none, remove {checkout.folder}/.venv.lock" in said
    assert started.poll() is None
    (checkout.folder / ".venv.lock").rmdir()
    started.communicate(timeout=180)
    assert started.returncode == 0


def test_starts_at_the_same_moment_install_once(checkout: Checkout) -> None:
    started = [checkout.start("up", INSTALLING='until [ -e "$CALLS.go" ]; do sleep 0.1; done') for _ in range(4)]
    said = [one.stderr.readline() for one in started if one.stderr]  # that it installs, or waits
    (checkout.bin / "calls.go").touch()
    ended = [one.communicate(timeout=180) for one in started]
    assert [one.returncode for one in started] == [0] * 4
    assert all(out.startswith("torg runs ['up']") for out, _ in ended)
    assert checkout.calls == ["venv", "pip"]
    assert sum("waiting for it" in line for line in said) == 3


def test_those_who_wait_for_a_killed_installer_install_once(checkout: Checkout) -> None:
    first = checkout.start(INSTALLING='echo $$ > "$CALLS.pid"; exec sleep 30')
    until(lambda: (checkout.bin / "calls.pid").exists() and (checkout.bin / "calls.pid").read_text() != "")
    waiting = [checkout.start("up", INSTALLING="sleep 1") for _ in range(3)]
    time.sleep(0.3)
    first.kill()
    os.kill(int((checkout.bin / "calls.pid").read_text()), signal.SIGKILL)
    first.communicate(timeout=180)
    assert [one.wait(timeout=60) for one in waiting] == [0, 0, 0]
    assert checkout.calls == ["venv", "pip", "venv", "pip"]
    for one in waiting:
        one.communicate()


def test_second_start_asks_for_nothing_but_python(checkout: Checkout) -> None:
    checkout.run()
    (checkout.venv / "bin/python").unlink()
    executable(checkout.venv / "bin/python", "#!/bin/sh\n")
    calls = checkout.bin / "calls"
    before = calls.read_text() if calls.exists() else ""
    assert checkout.run()[0] == 0
    assert (calls.read_text() if calls.exists() else "") == before


def test_index_that_pip_is_told_of_serves_uv_too(checkout: Checkout) -> None:
    checkout.run(PIP_INDEX_URL="https://mirror.example/simple", INSTALLING='echo "$UV_DEFAULT_INDEX" > "$CALLS.index"')
    assert (checkout.bin / "calls.index").read_text() == "https://mirror.example/simple\n"


@pytest.mark.slow
def test_real_pip_installs_what_the_list_hashes_and_nothing_else(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.bin / "uv").unlink()
    digest = hashlib.sha256(tiny_wheel(tmp_path).read_bytes()).hexdigest()
    (checkout.folder / "src/torg/__main__.py").write_text("import pebble; print(pebble.WEIGHT)\n")

    def run() -> tuple[int, str, str]:
        return checkout.run(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path), HOME=str(tmp_path))

    (checkout.folder / "requirements.lock").write_text(f"pebble==1.0 --hash=sha256:{'0' * 64}\n")
    status, _, err = run()
    assert status == 1
    assert "differs from the one in the list" in err
    (checkout.folder / "requirements.lock").write_text(f"pebble==1.0 --hash=sha256:{digest}\n")
    assert run()[:2] == (0, "7\n")


def tiny_wheel(folder: Path) -> Path:
    path = folder / "pebble-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("pebble.py", "WEIGHT = 7\n")
        wheel.writestr("pebble-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pebble\nVersion: 1.0\n")
        wheel.writestr("pebble-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: torg\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("pebble-1.0.dist-info/RECORD", "")
    return path


def test_lists_hold_every_library_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for names, file in (
        (project["project"]["dependencies"], "requirements.lock"),
        (project["dependency-groups"]["dev"], "requirements-dev.lock"),
    ):
        listed = set(re.findall(r"^([a-z0-9.-]+)==", (ROOT / file).read_text(), re.MULTILINE))
        named = {re.split(r"[^a-z0-9-]", name, maxsplit=1)[0] for name in names}
        assert named <= listed, f"{file} lacks {sorted(named - listed)}: run .ci/lock"


def test_both_lists_agree_on_versions() -> None:
    def pins(file: str) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / file).read_text(), re.MULTILINE))

    runtime, dev = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name for name in runtime.keys() & dev.keys() if runtime[name] != dev[name]} == set()


def test_lists_name_no_registry_and_no_folder_of_a_machine() -> None:
    for file in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / file).read_text()
        assert "://" not in text
        assert not re.search(r"^-|file:|/home|/root|/tmp", text, re.MULTILINE)
