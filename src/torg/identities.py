"""`torg identities`: the keys by which the services of a fleet know each other."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cyclopts import App

from torg import topology
from torg.fleet.wiring import keys_folder
from torg.kit import settings as settings_
from torg.kit import values
from torg.kit.rpc import key_files

app = App(name="identities", help="Make and change the keys by which the services of a fleet know each other.")


@app.command
def make(*, identities: Path | None = None) -> None:
    """Make a key pair for each service that has none: <service>/key is for its processes alone, public/ for all.

    Parameters
    ----------
    identities
        The folder (TORG_IDENTITIES, identities/ in the data folder).
    """
    folder = _folder(identities)
    made = key_files.make_missing(folder, topology.SERVICES, values.randomness)
    print(f"{folder}: {', '.join(made) if made else 'each service has its keys'}")  # noqa: T201 it is a command


@app.command
def rotate(service: str, *, compromised: bool = False, identities: Path | None = None) -> None:
    """Give a service a new key pair, which it uses from now on. The one before it is believed as well, until the next change. Nothing needs to be restarted.

    Parameters
    ----------
    service
        A context, gateway, acquirer or operator.
    compromised
        Somebody may know the old ones: none of them is believed any more.
    identities
        The folder (TORG_IDENTITIES, identities/ in the data folder).
    """
    if service not in topology.SERVICES:
        print(f"torg: there is no service {service!r}; services are {', '.join(topology.SERVICES)}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    folder = _folder(identities)
    if not key_files.services_of(folder):
        print(f"torg: {folder} has no keys: torg identities make makes them, or name another folder (TORG_IDENTITIES)", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    key_files.rotate(folder, service, values.randomness, compromised)
    print(f"{service}: {', '.join(key.id for key in key_files.services_of(folder)[service])}")  # noqa: T201


@app.command(name="list")
def list_(*, identities: Path | None = None) -> None:
    """Say which keys are known of whom, the one that is used first.

    Parameters
    ----------
    identities
        The folder (TORG_IDENTITIES, identities/ in the data folder).
    """
    for service, keys in key_files.services_of(_folder(identities)).items():
        print(f"{service:<14}{', '.join(key.id for key in keys)}")  # noqa: T201


def _folder(given: Path | None) -> Path:
    return keys_folder(settings_.load(os.environ, {"identities": str(given)} if given else {}))
