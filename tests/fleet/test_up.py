"""`torg up` with several processes: what it prints and refuses, how it is told to replace them, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.test_up import SMALL, refusal, until_ready, up
from torg.kit.ports import free_port

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    data = tmp_path_factory.mktemp("fleet")
    process = up("--topology", "order,payment/inventory", "--port", str(free_port()), "--data", str(data))
    yield process, until_ready(process), data
    if process.poll() is None:
        process.kill()
    process.communicate()


def processes(data: Path) -> dict[str, int]:
    """The processes of a fleet on this data folder, by name, as the system sees them."""
    found: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, environment = (folder / "cmdline").read_text().split("\0"), (folder / "environ").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if "--name" in words and f"TORG_DATA={data}\0" in environment:
            found[words[words.index("--name") + 1]] = int(folder.name)
    return found


def get(address: str, path: str, **headers: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def test_everything_answers_at_one_address(running: tuple[subprocess.Popen[str], str, Path]):
    _, address, data = running
    assert set(processes(data)) == {"main", "order,payment", "inventory"}
    for path in ("/ready", "/", "/api/v1/products", "/api/v1/delivery/quotes?city=Moscow", "/openapi.json", "/asyncapi.json", "/metrics", "/docs"):
        assert get(address, path)[0] == 200, path
    assert get(address, "/api/v1/orders")[0] == 401
    assert set(msgspec.json.decode(get(address, "/openapi.json")[1])["paths"]) >= {"/api/v1/orders", "/api/v1/cart", "/api/v1/warehouses"}
    assert get(address, "/rpc/order.place")[0] == 404


def test_a_context_answers_nobody_but_its_fleet(running: tuple[subprocess.Popen[str], str, Path]):
    peers = (running[2] / "fleet" / "peers.toml").read_text()
    own = re.search(r'^inventory = \["(.*)"\]', peers, re.MULTILINE)
    assert own
    assert [get(f"http://{own[1]}", path)[0] for path in ("/health", "/ready", "/metrics")] == [200, 200, 200]
    for path in ("/api/v1/inventory/1", "/api/v1/warehouses", "/openapi.json", "/rpc/inventory.get_availability"):
        assert get(f"http://{own[1]}", path)[0] == 401, path


def test_another_fleet_on_the_folder_or_at_the_port_is_refused(running: tuple[subprocess.Popen[str], str, Path], tmp_path: Path):
    port = running[1].rpartition(":")[2]
    status, said = refusal("--topology", "services", "--port", port, "--data", str(tmp_path))
    assert (status, said) == (1, f"torg: port {port} is in use: stop what listens there, or choose another with --port\n")
    for topology in ("services", "all"):
        status, said = refusal("--topology", topology, "--port", str(free_port()), "--data", str(running[2]))
        assert status == 1
        assert "another Torg runs on" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--topology", "ordre"), "there is no context 'ordre'"),
        (("--instances", "2"), "need a database server"),
        (("--topology", "services", "--instances", "cart=2"), "2 instances of cart need a database server"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments: tuple[str, ...], told: str, tmp_path: Path):
    status, said = refusal(*arguments, "--port", str(free_port()), "--data", str(tmp_path))
    assert (status, said.count("\n")) == (1, 1)
    assert told in said


def test_a_hangup_replaces_every_process_and_an_interrupt_ends_all(running: tuple[subprocess.Popen[str], str, Path]):
    process, address, data = running
    before = processes(data)
    process.send_signal(signal.SIGHUP)
    until(lambda: set(after := processes(data)) == set(before) and not set(after.values()) & set(before.values()))
    until(lambda: get(address, "/ready")[0] == 200)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0
    assert "Traceback" not in said
    assert processes(data) == {}
    assert not [file for file in data.rglob("*-wal") if file.stat().st_size]


def test_embedded_engines_are_those_of_every_process_whatever_the_environment_names(tmp_path: Path):
    nowhere = {"TORG_DB": "postgresql://nobody@127.0.0.1:1/none", "TORG_ORDER_DB": "postgresql://nobody@127.0.0.1:1/order"}
    nowhere |= {"TORG_ORDER_DB_REPLICA": "postgresql://nobody@127.0.0.1:1/order"}
    process = up("--topology", "order", "--engines", "embedded", "--port", str(free_port()), "--data", str(tmp_path), "--empty", **nowhere)
    assert get(until_ready(process), "/ready")[0] == 200
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=180)
    assert (tmp_path / "order" / "order.db").exists()


def test_processes_do_not_outlive_who_watches_them(tmp_path: Path):
    process = up("--topology", "order", "--port", str(free_port()), "--data", str(tmp_path), "--empty")
    until_ready(process)
    assert set(processes(tmp_path)) == {"main", "order"}
    process.kill()
    process.communicate()
    until(lambda: processes(tmp_path) == {})


def test_one_line_of_a_file_moves_a_context_out_and_back(tmp_path: Path):
    """Its records go with it: nothing else is touched."""
    topology, data = tmp_path / "topology.toml", tmp_path / "data"
    units = list[int]()
    for line, expected in (('inventory = "main"', set[str]()), ('inventory = "store"', {"main", "store"}), ('inventory = "main"', set[str]())):
        topology.write_text(f"{line}\n")
        process = up("--topology", str(topology), "--port", str(free_port()), "--data", str(data))
        address = until_ready(process)
        assert set(processes(data)) == expected
        product_id = msgspec.json.decode(get(address, "/api/v1/products?limit=1")[1])["items"][0]["id"]
        token = _signed_in(address)
        units.append(_stock(address, product_id))
        _buy(address, token, product_id)
        until(lambda address=address, product_id=product_id: _stock(address, product_id) == units[-1] - 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
        process.communicate()
    assert [units[0] - count for count in units] == [0, 1, 2]


def _stock(address: str, product_id: str) -> int:
    available: int = msgspec.json.decode(get(address, f"/api/v1/inventory/{product_id}")[1])["available"]
    return available


def _signed_in(address: str) -> str:
    body = {"email": "buyer@torg.example", "password": SMALL["TORG_DEMO_PASSWORD"]}
    token: str = _sent(address, "POST", "/api/v1/sessions", body)["access_token"]
    return token


def _buy(address: str, token: str, product_id: str) -> None:
    signed = {"authorization": f"Bearer {token}"}
    _sent(address, "PUT", f"/api/v1/cart/items/{product_id}", {"quantity": 1}, **signed)
    home = {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}
    order = {"delivery": {"method": "courier", "address": home}, "payment": {"method": "balance"}}
    _sent(address, "POST", "/api/v1/orders", order, **signed, **{"idempotency-key": os.urandom(8).hex()})


def _sent(address: str, method: str, path: str, body: Any, **headers: str) -> Any:
    request = urllib.request.Request(address + path, msgspec.json.encode(body), {"content-type": "application/json", **headers}, method=method)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return msgspec.json.decode(answer.read())
