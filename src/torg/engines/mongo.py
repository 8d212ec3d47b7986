"""A server that speaks MongoDB's protocol, as it can be had without Docker: SecantusDB, from its wheel.

No registry that is reached by name alone ships MongoDB's own server: Debian dropped it with its licence, and what PyPI, npm, Maven and Go have under the
name are clients, or fetch the server from elsewhere. Of what speaks its protocol these were tried with PyMongo 4.20 on two cores:

- SecantusDB 0.7.0b3 (PyPI): MongoDB's storage engine WiredTiger under a server written in Python. Validation by $jsonSchema, unique, compound and partial
  indexes that are used, transactions, change streams, aggregation. A read by id took 0.7 ms, 24 by id 1.8 ms, an insert in bulk 0.25 ms.
- FerretDB 1.24.2 (Go module; on SQLite or PostgreSQL): no validation, transactions or change streams, and it reads a whole collection for every filter
  but one: over 3,000 documents an update in bulk of 500 was not done in a minute. FerretDB 2 needs a PostgreSQL extension that no registry has.
- mongo-java-server 1.47.0 (Maven): speaks wire version 8, which current drivers refuse.

So it is SecantusDB. It is young, and under the GPL: a program of its own that Torg installs on request, talks to over TCP, and neither imports nor ships.

What it can't show: replica sets of several nodes and their elections (it says that it is a primary of one), sharding, $text, users (it could check
passwords, but asks for none here), and how fast MongoDB is: its authors measured 2 to 27 times MongoDB's time."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines import fetch
from torg.engines.port import EngineRefused, Place, Tell

WHEELS = Path(__file__).with_name("mongo.lock")
CANNOT: Final = "SecantusDB can't be installed"
ASK_SECONDS: Final = 2
BASE: Final = "torg"


class Mongo:
    """One server, on this machine only. Its writes are on disk when it acknowledges them, as MongoDB's are with `journal=true`."""

    name = "mongo"
    port = 27027
    version = "SecantusDB 0.7.0b3 in MongoDB's place (WiredTiger and the protocol of 8.2: no replica set of several, no sharding, no $text, slower)"
    image = "mongo:8.2"

    def install(self, home: Path, tell: Tell) -> None:
        if _installed(home):
            return
        tell("SecantusDB, which stands in for MongoDB, is being installed")
        fetch.python_packages(home / "wheel", WHEELS, CANNOT, home / "install.log")
        if not _installed(home):
            raise EngineRefused(f"{CANNOT}: {home / 'wheel'} lacks it.")

    def command(self, place: Place) -> list[str]:
        if not _installed(place.home):
            raise EngineRefused("SecantusDB is not installed: run `torg engines up mongo`, which installs it first.")
        where = ["--host", "127.0.0.1", "--port", str(place.port), "--storage-path", str(place.data / "wiredtiger")]
        configuration = place.data / "secantusd.toml"  # else it would look for one elsewhere
        configuration.touch()
        return [sys.executable, "-m", "secantus", "--config", str(configuration), *where, "--cache-size", "256M", "--sync-on-commit", "--log-level", "WARNING"]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {"PYTHONPATH": str(place.home / "wheel")}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        from pymongo import MongoClient
        from pymongo.errors import PyMongoError

        client: MongoClient[dict[str, object]] = MongoClient("127.0.0.1", place.port, directConnection=True, timeoutMS=ASK_SECONDS * 1000)
        try:
            with client:
                client.admin.command("ping")
        except PyMongoError as error:
            return f"no answer at 127.0.0.1:{place.port}: {error}"
        return ""

    def prepare(self, place: Place) -> None:
        """A new server needs nothing: databases and collections come into being when they are first written."""

    def settings(self, place: Place) -> Mapping[str, str]:
        return {"TORG_DOCUMENTS": f"mongodb://127.0.0.1:{place.port}/{BASE}"}


def _installed(home: Path) -> bool:
    return (home / "wheel" / "secantus").is_dir()
