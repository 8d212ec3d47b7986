"""What came over plain HTTP though the shop is reached over HTTPS: pages are led there, programs are told. A program that was led on in silence would go on
sending its keys in the clear."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from torg.kit.errors import Problem
from torg.kit.http.request import Response
from torg.kit.http.routes import API
from torg.kit.messages import encode
from torg.kit.rpc.door import target_of

SAFE = frozenset({"GET", "HEAD"})
PROBLEM = (b"content-type", b"application/problem+json")


def over_plain_http(scope: Any, address: str) -> Response:
    """The answer to such a request. `address`: where the shop is."""
    headers = dict(scope["headers"])
    for_people = scope["method"] in SAFE and not scope["path"].startswith(f"{API}/") and b"text/html" in headers.get(b"accept", b"")
    if for_people:
        return Response(308, b"", [(b"location", _origin(address).encode() + target_of(scope))])
    detail = f"this shop is asked over HTTPS alone, at {_origin(address)}. What was sent came in the clear: make new keys if there were some in it"
    return Response(403, encode(Problem("Not allowed", 403, detail, "https.required")), [PROBLEM])


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
