"""`torg sbom`: of which libraries this shop is made, as the lock file has them (CycloneDX 1.6)."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from torg import __version__

LOCK = Path(__file__).parents[2] / "requirements.lock"
_PART = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*])?==([^\s;\\]+)(?:\s*;\s*([^\\\n]+))?", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def sbom(lock: Path = LOCK) -> None:
    """Print the list of parts (SBOM) as a CycloneDX 1.6 document: every library of the lock file with its version, licence and hashes.

    Parameters
    ----------
    lock
        Another lock file.
    """
    if not lock.is_file():
        sys.exit(f"torg sbom: there is no lock file {lock}: name one with --lock")
    json.dump(document(lock.read_text()), sys.stdout, indent=1)
    sys.stdout.write("\n")


def document(lock: str) -> dict[str, Any]:
    """The same for the same lock file."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "torg", "version": __version__, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": list(_components(lock)),
    }


def _components(lock: str) -> Iterator[dict[str, Any]]:
    found = list(_PART.finditer(lock))
    for at, part in enumerate(found):
        name, version, where = part.groups()
        files = lock[part.end() : found[at + 1].start() if at + 1 < len(found) else len(lock)]
        purl = f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}"
        component = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, **_licence(name)}
        if where:
            component["properties"] = [{"name": "torg:only-where", "value": where.strip()}]
        if hashes := _HASH.findall(files):
            component["externalReferences"] = [
                {"type": "distribution", "url": purl, "comment": "one of its files", "hashes": [{"alg": "SHA-256", "content": one}]} for one in hashes
            ]
        yield component


def _licence(name: str) -> dict[str, Any]:
    """As the library says itself, where it is installed."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return {}
    if expressions := said.get_all("License-Expression"):
        return {"licenses": [{"expression": expressions[0]}]}
    classes = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier") or () if line.startswith("License ::")]
    names = classes or [words for words in said.get_all("License") or () if len(words) < 60]
    return {"licenses": [{"license": {"name": one}} for one in names]} if names else {}
