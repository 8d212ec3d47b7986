"""`torg up` as a process: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.shop import HANDED
from torg.kit.ports import free_port

ROOT = Path(__file__).parents[1]
SMALL = {"TORG_DEMO_PRODUCTS": "60", "TORG_SYNC": "OFF", "TORG_PASSWORD_MEMORY_KIB": "64", "TORG_DEMO_PASSWORD": "a-password-for-tests"}


def up(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    environment = {**kept, "PYTHONPATH": str(ROOT / "src"), **SMALL, **settings}
    command = [sys.executable, "-m", "torg", "up", *arguments]  # what it says is read in the end, and must find room until then
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pipesize=1 << 20)


def until_ready(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Torg is ready at "):
            return line.removeprefix("Torg is ready at ").strip()
    raise AssertionError(f"it ended before it was ready: {process.stderr and process.stderr.read()}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    data = tmp_path_factory.mktemp("shop")
    process = up("--port", str(free_port()), "--data", str(data))
    yield process, until_ready(process), data
    if process.poll() is None:
        process.kill()
    process.communicate()


def refusal(*arguments: str, **settings: str) -> tuple[int, str]:
    process = up(*arguments, **settings)
    _, said = process.communicate(timeout=180)
    return process.returncode, said


def test_it_answers_at_the_address_it_prints(running: tuple[subprocess.Popen[str], str, Path]):
    for path in ("/ready", "/", "/openapi.json", "/metrics"):
        with urllib.request.urlopen(running[1] + path, timeout=20) as answer:
            assert answer.status == 200


def test_a_port_in_use_is_said(running: tuple[subprocess.Popen[str], str, Path], tmp_path: Path):
    port = running[1].rpartition(":")[2]
    status, said = refusal("--port", port, "--data", str(tmp_path))
    assert (status, said) == (1, f"torg: port {port} is in use: stop what listens there, or choose another with --port\n")


def test_a_folder_in_use_is_said(running: tuple[subprocess.Popen[str], str, Path]):
    status, said = refusal("--port", str(free_port()), "--data", str(running[2]))
    assert status == 1
    assert "another Torg runs on" in said


def test_an_engine_that_is_away_is_waited_for_and_named_and_then_no_longer(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    status, said = refusal("--data", str(tmp_path), TORG_DB=f"postgresql://torg@{address}/torg", TORG_START_WITHIN="4")
    waiting = [line for line in said.splitlines() if "cannot start yet" in line]
    assert len(waiting) > 1
    assert all(address.rpartition(":")[2] in line for line in waiting), said
    assert (status, said.splitlines()[-1].startswith("torg: ")) == (75, True), said


def test_a_fleet_waits_for_its_engines_as_well(tmp_path: Path):
    address = f"127.0.0.1:{free_port()}"
    asked = up(
        "--data", str(tmp_path), "--topology", "order/user,payment,cart,catalog,inventory,shipping,notification,review,analytics,admin,web", "--port",
        str(free_port()), TORG_DB=f"postgresql://torg@{address}/torg", TORG_START_WITHIN="6",
    )  # fmt: skip
    heard, said = asked.communicate(timeout=180)
    assert "cannot start yet, as it says above; it is tried again in 1.0 s" in heard + said, heard + said
    assert asked.returncode == 1
    assert "ended before it answered" in said


def test_bad_settings_are_all_said():
    status, said = refusal(TORG_LANGUAGE="tlh", TORG_NONSENSE="1")
    assert status == 2
    assert "TORG_LANGUAGE='tlh'" in said
    assert "TORG_NONSENSE" in said


@pytest.mark.parametrize(
    "setting", ["TORG_REDIS=http://:{}@127.0.0.1:1/0", "TORG_BUS=kafka://u:{}@127.0.0.1:1", "TORG_SMTP=smtpx://u:{}@127.0.0.1:25", "TORG_TLS=redis://:{}@x"]
)
def test_a_start_that_fails_says_why_and_no_password(setting: str, tmp_path: Path):
    name, _, value = setting.partition("=")
    status, said = refusal("--data", str(tmp_path), **{name: value.format("hushhush1234")})
    assert status in (1, 2)
    assert (name in said, "hushhush1234" in said) == (True, False), said


def test_a_signal_ends_it_cleanly_and_data_of_a_newer_version_is_refused(running: tuple[subprocess.Popen[str], str, Path]):
    process, _, data = running
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert not [file for file in data.rglob("*-wal") if file.stat().st_size]
    with sqlite3.connect(data / "order" / "order.db") as database:
        database.execute("insert into migration (name, checksum, applied_at) values ('order/9999_future.sql', 'x', 'x')")
        database.execute("insert into migration_contract (name, oldest) values ('order/9999_future.sql', 'order/9998_future.sql')")
    status, said = refusal("--port", str(free_port()), "--data", str(data))
    assert status == 1
    assert "newer version of Torg" in said


def test_a_socket_that_a_service_manager_keeps_outlives_the_process(tmp_path: Path):
    """By sd_listen_fds(3): who comes while nobody is there waits."""
    with socket.create_server(("127.0.0.1", 0)) as kept:
        address = f"http://127.0.0.1:{kept.getsockname()[1]}"
        for _ in range(2):
            process = handed(kept.fileno(), "--data", str(tmp_path), "--empty")
            with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:  # asked before it is ready
                assert answer.status == 200
            assert until_ready(process) == address
            process.kill()
            process.communicate()


def test_anything_but_one_tcp_socket_is_refused(tmp_path: Path):
    here, there = socket.socketpair()
    with here, there:
        process = handed(here.fileno(), "--data", str(tmp_path), "--empty")
        _, said = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "have one ListenStream=host:port" in said


def handed(descriptor: int, *arguments: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    command = [sys.executable, "-c", HANDED, str(descriptor), "-m", "torg", "up", *arguments]
    return subprocess.Popen(
        command, env={**kept, "PYTHONPATH": str(ROOT / "src"), **SMALL}, pass_fds=(descriptor,), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
