"""The measurements work; what they measure is for `torg bench` to say."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from bench.buying import percentile
from bench.figures import Book
from bench.wire import Connection, request

from torg.kit.testing.served import serving

ROOT = Path(__file__).parents[1]


def test_median_and_runs_are_kept_with_what_they_were_measured_on(tmp_path):
    book = Book({"commit": "abc"})
    book.add("Orders", "from click to confirmed", "orders/s", [300, 100, 200])
    book.mind_load("orders", 0.99)
    book.save(tmp_path / "figures.json")
    kept = msgspec.json.decode((tmp_path / "figures.json").read_bytes())
    assert kept["figures"][0]["median"] == 200 and kept["figures"][0]["runs"] == [300, 100, 200]
    assert kept["disclosure"] == {"commit": "abc"}
    assert "the server could have done more" in kept["remarks"][0]


def test_percentiles_go_by_nearest_rank():
    assert [percentile([5, 1, 4, 2, 3], share) for share in (1, 50, 95, 100)] == [1, 3, 5, 5]


async def test_connection_tells_answers_apart_however_they_are_cut():
    async def answer(scope, receive, send):
        size = int(scope["path"][1:])
        await send({"type": "http.response.start", "status": 200 if size else 204, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * size})

    async with serving() as (address, answers):
        answers(answer)
        connection = await Connection.open(int(address.rpartition(":")[2]))
        for size in (10, 0, 200_000, 1):
            told = await connection.send(request("GET", f"/{size}"))
            assert (told.status, len(told.body)) == (200 if size else 204, size)
        connection.close()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the measurements read /proc")
def test_quick_run_measures_a_small_shop(tmp_path):
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "torg", "bench", "--quick", "--repeats", "1", "carts", "pages", "calm", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    figures = {(figure["name"], figure["unit"]): figure["median"] for figure in msgspec.json.decode(out.read_bytes())["figures"]}
    assert figures["64 buyers at once", "requests/s"] > 0
    assert figures["product, JSON: made anew", "of the yardstick"] > 0
    assert figures["wrong passwords: answered 401", "of requests"] > 0
    assert figures["what was asked of those that hang: answered 503", "of requests"] == 1
    assert figures["first start, with seeding, until it is ready", "s"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the measurements read /proc")
def test_a_quick_run_measures_the_gateway_without_a_shop(tmp_path):
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", "torg", "bench", "--quick", "--repeats", "1", "gateway", "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = {figure["name"]: figure["median"] for figure in msgspec.json.decode(out.read_bytes())["figures"]}
    assert figures["one process: who asks, rights, limits, headers, metrics, besides the handler"] > 0
    assert figures["a GET through Torg's gateway, 32 at a time: CPU of the proxy"] > 0


def test_unknown_measurement_is_refused_with_the_known_ones(tmp_path):
    command = [sys.executable, "-m", "torg", "bench", "teleport", "--out", str(tmp_path / "figures.json")]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "starts, pages, search, carts, orders, telemetry, overload, flash, logins, calm, gateway" in " ".join(done.stderr.split())
