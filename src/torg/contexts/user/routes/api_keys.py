"""API keys over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.routes.answers import unkept
from torg.kit.http import Route, delete, get, post, put


def api_keys() -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would keep keys in clear."""
    return (
        get("/users/me/api-keys", c.ListApiKeys, right="self:read", summary="Your API keys"),
        post("/users/me/api-keys", c.MakeApiKey, right="self:write", status=201, reply_headers=unkept, summary="Make an API key; it is shown this once"),
        post(
            "/users/me/api-keys/{key_id}/rotate", c.RotateApiKey, right="self:write", status=201, reply_headers=unkept,
            summary="Get a new key in place of one; the old one opens for a while yet",
        ),
        delete("/users/me/api-keys/{key_id}", c.EndApiKey, right="self:write", summary="End an API key"),
        get("/admin/api-keys", c.FindApiKeys, right="api-keys:read", summary="API keys, newest first, by their beginning or whose they are"),
        put("/admin/api-keys/{key_id}/tier", c.SetApiKeyTier, about=c.GetApiKey, right="api-keys:write", summary="Set how much may be asked with an API key"),
        delete("/admin/api-keys/{key_id}", c.WithdrawApiKey, about=c.GetApiKey, right="api-keys:write", summary="End somebody's API key"),
    )  # fmt: skip
