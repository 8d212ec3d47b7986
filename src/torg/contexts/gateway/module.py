"""The gateway: what listens at the shop's address when its contexts run in several processes."""

from __future__ import annotations

from collections.abc import Collection

from torg.contexts.gateway.adapters.front_asgi import Asgi, Gateway
from torg.contexts.gateway.adapters.proxy_http import Proxy
from torg.kit.http.admission import Admission
from torg.kit.rpc.fleet import Fleet
from torg.kit.values import NewId


def build(shop: Asgi, here: Collection[str], fleet: Fleet, new_id: NewId, door: Admission | None) -> Gateway:
    """`door` is the process's own: what is handed on waits in it with what is answered here."""
    return Gateway(shop, here, Proxy(fleet, new_id, door))
