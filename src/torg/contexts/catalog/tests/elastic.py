"""Indexes on a real Elasticsearch, one for each folder that a test would have for itself."""

from __future__ import annotations

import json
import urllib.request
from itertools import count
from pathlib import Path
from typing import Any
from zlib import crc32

from torg.contexts.catalog.adapters.index_elastic import Address, ElasticProductIndex, Patience

SHORT = Patience(lease=4.0, renew=0.2, grace=0.2)


class OnElastic:
    """Opens them, each time as another process, and clears them away."""

    def __init__(self, url: str, patience: Patience = SHORT) -> None:
        self.url, self._patience = url, patience
        self._processes = count(1)

    def address(self, folder: Path) -> Address:
        return Address.read(f"{self.url}/t{crc32(str(folder).encode()):08x}?deadline=20")

    async def open(self, folder: Path, patience: Patience | None = None) -> ElasticProductIndex:
        return await ElasticProductIndex.open(self.address(folder), f"process {next(self._processes)}", patience or self._patience)

    def clear(self) -> None:
        """Everything that tests made."""
        if names := ",".join(ask(self.url, "GET", "/t*-v*/_alias")):
            ask(self.url, "DELETE", f"/{names}")
        for template in ask(self.url, "GET", "/_index_template/t*-v*")["index_templates"]:
            ask(self.url, "DELETE", f"/_index_template/{template['name']}")


def ask(url: str, method: str, path: str, body: object = None) -> Any:
    """Asks the server, past the adapter."""
    address = url.replace("elasticsearch://", "http://")
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}", content, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
