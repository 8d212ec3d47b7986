"""The keys of tokens over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.kit.access import PUBLIC
from torg.kit.http import Route, post


def tokens() -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path="/.well-known/jwks.json",
            message=c.GetJwks,
            right=PUBLIC,
            reply_headers=_for_a_minute,
            summary="What tokens of this shop are checked with",
        ),
        post("/admin/keys/rotate", c.RotateKeys, about=c.GetPublicKeys, right="keys:write", summary="Make a new key to sign tokens with"),
    )


def _for_a_minute(_: c.Jwks) -> list[tuple[str, str]]:
    """A new key is published for as long before it signs."""
    return [("Cache-Control", "public, max-age=60")]
