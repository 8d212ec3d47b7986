from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import WriteError

from torg.engines import processes, run
from torg.engines.catalogue import named
from torg.engines.port import Place
from torg.kit.testing.engines import served

pytestmark = pytest.mark.slow

WAIT = 60_000  # milliseconds


@pytest.fixture(scope="module")
def mongo() -> Iterator[tuple[Place, Mapping[str, str]]]:
    with served("mongo") as (place, settings):
        if place is None:
            pytest.skip("somebody else's server is not ours to kill")
        yield place, settings


def client(settings: Mapping[str, str]) -> MongoClient[dict[str, Any]]:
    return MongoClient(settings["TORG_DOCUMENTS"], directConnection=True, timeoutMS=WAIT, w="majority", journal=True)


def test_what_was_acknowledged_survives_the_servers_death(mongo: tuple[Place, Mapping[str, str]]) -> None:
    place, settings = mongo
    with client(settings) as opened:
        kept = opened["engine"]["kept"]
        for number in range(100):
            kept.insert_one({"_id": number})
        started = run.running(place)
        assert started
        os.kill(started.pid, signal.SIGKILL)
        assert processes.gone(started.pid, started.mark, 60)
        run.start(named("mongo"), place, lambda _: None)
        assert kept.count_documents({}) == 100


def test_documents_of_another_shape_are_refused(mongo: tuple[Place, Mapping[str, str]]) -> None:
    with client(mongo[1]) as opened:
        strict = opened["engine"].create_collection("strict", validator={"$jsonSchema": {"required": ["name"], "properties": {"name": {"bsonType": "string"}}}})
        strict.insert_one({"name": "milk"})
        with pytest.raises(WriteError):
            strict.insert_one({"name": 3})


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which sockets there are")
def test_it_listens_on_this_machine_alone(mongo: tuple[Place, Mapping[str, str]]) -> None:
    place, _ = mongo
    started = run.running(place)
    assert started
    assert listening(started.pid) == {f"0100007F:{place.port:04X}"}


def listening(pid: int) -> set[str]:
    """The addresses of a process's listening sockets, as the kernel writes them."""
    inodes = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                found.add(fields[1])
    return found
