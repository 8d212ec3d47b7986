"""Several instances of a process side by side, on a database server: both work, one may die, and the next one takes its place beside the old."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet.test_up import _buy, _sent, _signed_in, get, processes, until
from tests.test_up import until_ready, up
from torg.kit.ports import free_port
from torg.kit.testing.engines import running

pytestmark = [pytest.mark.slow, pytest.mark.engine]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    data = tmp_path_factory.mktemp("instances")
    with running("postgres") as settings:
        process = up("--topology", "order", "--instances", "order=2", "--port", str(free_port()), "--data", str(data), **settings)
        try:
            yield process, until_ready(process), data
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=180)


def instances(data: Path) -> list[str]:
    """Addresses at which the order context answers."""
    line = re.search(r"^order = \[(.*)\]", (data / "fleet" / "peers.toml").read_text(), re.MULTILINE)
    return re.findall(r'"(.*?)"', line[1]) if line else []


def served(address: str) -> float:
    """How many requests of the API an instance has answered."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        metrics = answer.read().decode()
    return sum(float(count) for count in re.findall(r'torg_http_request_seconds_count\{.*route="/api/v1/orders".*\} (\S+)', metrics))


def test_instances_share_the_work_and_the_records(shop: tuple[subprocess.Popen[str], str, Path]):
    _, address, data = shop
    token = _signed_in(address)
    assert len(instances(data)) == 2
    _buy(address, token, "51716")

    def both_have_answered() -> bool:
        for _ in range(20):
            assert len(_sent(address, "GET", "/api/v1/orders", None, authorization=f"Bearer {token}")["items"]) == 1
        return all(served(instance) > 5 for instance in instances(data))

    until(both_have_answered)


def test_while_one_is_killed_and_started_again_the_other_answers(shop: tuple[subprocess.Popen[str], str, Path]):
    _, address, data = shop
    token, before = _signed_in(address), processes(data)
    os.kill(before["order.2"], signal.SIGKILL)
    told = [get(address, "/api/v1/orders", authorization=f"Bearer {token}")[0] for _ in range(60)]
    assert told == [200] * 60
    until(lambda: len(instances(data)) == 2 and processes(data).get("order.2") not in (None, before["order.2"]))


def test_each_is_replaced_while_the_other_goes_on(shop: tuple[subprocess.Popen[str], str, Path]):
    process, address, data = shop
    token, before, told = _signed_in(address), processes(data), list[int]()
    process.send_signal(signal.SIGHUP)

    def replaced() -> bool:
        told.append(get(address, "/api/v1/orders", authorization=f"Bearer {token}")[0])
        after = processes(data)
        return set(after) == set(before) and not set(after.values()) & set(before.values())

    until(replaced)
    assert set(told) == {200}
