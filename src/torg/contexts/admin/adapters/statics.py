"""The staff pages' look and behaviour, read once; a name carries its content's hash, so that browsers may keep it for ever."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

from torg.contexts.admin.ports import Static

MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def read_statics(folder: Path) -> tuple[Mapping[str, Static], Mapping[str, str]]:
    """The files by the names under which they are served, and their addresses by their plain names."""
    served: dict[str, Static] = {}
    addresses: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in MEDIA:
            body = path.read_bytes()
            name = f"{path.stem}.{hashlib.blake2b(body, digest_size=6).hexdigest()}{path.suffix}"
            served[name], addresses[path.name] = Static(MEDIA[path.suffix], body, gzip.compress(body, mtime=0)), f"/admin/static/{name}"
    return served, addresses
