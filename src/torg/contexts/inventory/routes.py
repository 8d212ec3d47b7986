"""Stock over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.inventory import contracts as c
from torg.kit.auth import Role
from torg.kit.http import Route, post

KEEPERS = frozenset({Role.WAREHOUSE})


def routes() -> Sequence[Route]:
    return (post("/warehouses", c.CreateWarehouse, who=KEEPERS, status=201, idempotency="accepted", summary="Open a warehouse"),)
