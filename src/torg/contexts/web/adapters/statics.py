"""The static files, read once: style sheets as one, every name with its content's hash, compressed ahead."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from torg.contexts.web.ports import Static

IMPORT = re.compile(r'from "\./([\w.]+)"')
MEDIA = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


def read_statics(folder: Path) -> tuple[Mapping[str, Static], Mapping[str, str]]:
    """The files by the names under which they are served, and those names by the plain ones."""
    plain = {path.name: path.read_bytes() for path in sorted(folder.glob("**/*")) if path.suffix in MEDIA and path.parent.name != "css"}
    plain["shop.css"] = b"\n".join(path.read_bytes() for path in sorted((folder / "css").glob("*.css")))
    named: dict[str, Static] = {}
    for name in plain:
        _name(name, plain, named)
    return {static.name: static for static in named.values()}, {name: f"/static/{static.name}" for name, static in named.items()}


def _name(name: str, plain: Mapping[str, bytes], named: dict[str, Static]) -> Static:
    """Names a file, and before it the modules that it imports, whose names stand in its text."""
    if name not in named:
        text = IMPORT.sub(lambda found: f'from "./{_name(found[1], plain, named).name}"', plain[name].decode()) if name.endswith(".js") else None
        named[name] = _static(name, plain[name] if text is None else text.encode())
    return named[name]


def _static(name: str, body: bytes) -> Static:
    stem, suffix = name.rsplit(".", 1)
    digest = hashlib.blake2b(body, digest_size=6).hexdigest()
    return Static(f"{stem}.{digest}.{suffix}", MEDIA[f".{suffix}"], body, gzip.compress(body, mtime=0))
