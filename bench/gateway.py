"""What the gateway costs: a GET of the same small service asked directly, through Torg's gateway and through nginx, in turns; and in one process what the
whole front door takes of the CPU."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from base64 import b64encode
from pathlib import Path
from typing import Self

import msgspec

from bench.bare import Page
from bench.door import KEPT
from bench.house import House
from bench.processes import TICKS, Bare, DidNotStart, Process, on_core
from bench.wire import Connection, hammer, request
from torg.kit.ports import free_port

SECTION, PATH = "Gateway", "/api/v1/products/1"
Way = tuple[int, int | None, str]
"""A port, whose process's CPU is counted, and what is asked for there."""
BODY = b'{"id":"1","name":"' + b"x" * 880 + b'"}'
CONFIGURED = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi; proxy_cache_path {folder}/kept keys_zone=kept:1m;
    upstream service {{ server 127.0.0.1:{backend}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port}; keepalive_requests 100000000;
        location / {{
            proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
        location = {kept} {{ proxy_pass http://service; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_cache kept; }}
    }}
}}
"""


async def measure(house: House) -> None:
    _in_process(house)
    headers = [("content-type", "application/json"), ("x-content-type-options", "nosniff")]
    page = Page(200, headers, b64encode(BODY).decode())
    kept = Page(200, [*headers, ("cache-control", "public, max-age=3600")], page.body)
    file = house.folder / "gateway-pages.json"
    file.write_bytes(msgspec.json.encode({PATH: page, KEPT: kept}))
    with Bare(file, house.server_core) as service, Door(service.port, house.server_core) as door:
        ways: dict[str, Way] = {
            "directly": (service.port, None, PATH), "through Torg's gateway": (door.port, door.pid, PATH),
            "kept by Torg's gateway": (door.port, door.pid, KEPT),
        }  # fmt: skip
        nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if nginx is None:
            house.book.remark("nginx is not there to compare with: apt-get install nginx-light")
            await _compare(house, ways)
            return
        with _Nginx(nginx, house.folder, service.port, house.server_core) as other:
            await _compare(house, {**ways, "through nginx": (other.port, other.pid, PATH), "kept by nginx": (other.port, other.pid, KEPT)})


def _in_process(house: House) -> None:
    found = house.run("bench.door")
    added = [whole - bare for whole, bare in zip(found["whole"], found["bare"], strict=True)]
    house.book.add(SECTION, "one process: who asks, rights, limits, headers, metrics, besides the handler", "µs of CPU a request", added, "≤ 100")


async def _compare(house: House, ways: dict[str, Way]) -> None:
    times = {way: list[float]() for way in ways}
    spent = {way: list[float]() for way in ways}
    for _ in range(house.repeats):
        for way, (port, pid, path) in ways.items():
            times[way].append(await _latency(port, path, house.of(1000, 100)))
            before = _cpu(pid) if pid else 0.0
            burst = await hammer(port, [request("GET", path)], house.seconds)
            assert not burst.failures, f"{way}: {burst.failures} of {burst.answers} failed"
            if pid:
                spent[way].append((_cpu(pid) - before) / burst.answers * 1e6)
    direct = times.pop("directly")
    for way in [way for way in times if way.startswith("kept")]:
        house.book.add(SECTION, f"a GET {way}, one at a time", "µs", times.pop(way))
        house.book.add(SECTION, f"a GET {way}, 32 at a time: CPU of the proxy", "µs a request", spent[way])
    house.book.add(SECTION, "a GET directly, one at a time", "µs", direct)
    for way, found in times.items():
        added = [taken - bare for taken, bare in zip(found, direct, strict=True)]
        house.book.add(SECTION, f"a GET {way}, one at a time: added", "µs", added)
        house.book.add(
            SECTION, f"a GET {way}: share of the time that the proxy is", "%", [more / taken * 100 for more, taken in zip(added, found, strict=True)]
        )
        house.book.add(SECTION, f"a GET {way}, 32 at a time: CPU of the proxy", "µs a request", spent[way])


async def _latency(port: int, path: str, count: int) -> float:
    """The median of so many, microseconds."""
    connection, asked, taken = await Connection.open(port), request("GET", path), list[float]()
    for _ in range(count):
        began = time.perf_counter()
        answer = await connection.send(asked)
        taken.append((time.perf_counter() - began) * 1e6)
        assert answer.status == 200, answer.head
    connection.close()
    return statistics.median(taken)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Door(Process):
    """The gateway alone. Of the context review other instances answer, where they are named."""

    def __init__(self, backend: int, core: int | None, *reviews: str) -> None:
        self.port = free_port()
        super().__init__("bench.door", str(self.port), str(backend), *reviews, core=core)


class _Nginx:
    """nginx, one worker, from a configuration of its own."""

    def __init__(self, program: str, folder: Path, backend: int, core: int | None) -> None:
        self.port, file = free_port(), folder / "nginx.conf"
        file.write_text(CONFIGURED.format(folder=folder, backend=backend, port=self.port, kept=KEPT))
        with on_core(core):
            self._process = subprocess.Popen([program, "-c", str(file), "-e", str(folder / "nginx.log")], stderr=subprocess.DEVNULL)  # noqa: S603 found on the path
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        time.sleep(0.5)
        if self._process.poll() is not None:
            raise DidNotStart(f"nginx ended with {self._process.returncode}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)
