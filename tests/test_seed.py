"""`torg serve` and `torg seed` as processes: parts of a shop that nobody supervises, filled from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from torg import topology
from torg.kit.ports import free_port

ROOT = Path(__file__).parents[1]
PARTS = ("gateway,web,user,admin", "catalog,cart,order,inventory,payment,acquirer,shipping,notification,review,analytics")
pytestmark = pytest.mark.slow


def torg(settings: dict[str, str], *words: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TORG_")}
    environment = {**kept, "PYTHONPATH": str(ROOT / "src"), **settings}
    return subprocess.Popen([sys.executable, "-m", "torg", *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_parts_that_run_apart_are_filled_once_they_all_answer(tmp_path: Path):
    ports = [free_port() for _ in PARTS]
    front = f"http://127.0.0.1:{ports[0]}"
    places = {name: [f"127.0.0.1:{port}"] for part, port in zip(PARTS, ports, strict=True) for name in part.split(",")}
    assert set(places) == {*topology.NAMES, topology.SANDBOX}
    peers = tmp_path / "peers.toml"
    peers.write_text("".join(f"{name} = {json.dumps(addresses)}\n" for name, addresses in places.items()))
    settings = {
        "TORG_DATA": str(tmp_path / "data"), "TORG_DISCOVERY": f"file:{peers}", "TORG_FRONT": front, "TORG_PUBLIC_URL": front, "TORG_SYNC": "OFF",
        "TORG_DEMO_PRODUCTS": "60", "TORG_PASSWORD_MEMORY_KIB": "64", "TORG_DEMO_PASSWORD": "a-password-for-tests",
    }  # fmt: skip
    seeding = torg(settings, "seed")
    running = [torg(settings, "serve", part, "--port", str(port)) for part, port in zip(PARTS, ports, strict=True)]
    try:
        said, _ = seeding.communicate(timeout=180)
        assert seeding.returncode == 0, said
        with urllib.request.urlopen(f"{front}/api/v1/products?limit=5", timeout=20) as answer:
            assert len(json.load(answer)["items"]) == 5
        again = torg(settings, "seed")
        said, _ = again.communicate(timeout=180)
        assert (again.returncode, "products" in said) == (0, False)
    finally:
        for process in (seeding, *running):
            process.terminate()
        print(*[process.communicate(timeout=180)[0] for process in running])  # shown when it fails
    assert [process.returncode for process in running] == [0, 0]
