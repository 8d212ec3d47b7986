"""Services beside the shop that the front door leads to as well: others' programs, as a partner's chat."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Final

import msgspec

from torg.kit.rpc.bounds import Positive, Seconds

ADDRESS: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")
ORIGIN: Final = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


class Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`at`: where its instances answer; `credentials`: it is shown the shop's cookies and the keys and tokens that clients come with. Of its WebSocket
    connections: how many a gateway holds at once, seconds of silence after which one is ended, and which other sites' pages may open one."""

    at: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    credentials: bool = False
    connections: Positive = 1000
    quiet: Seconds = 120.0
    origins: tuple[str, ...] = ()


def faults_of_services(services: Mapping[str, Service], contexts: Collection[str]) -> Iterable[str]:
    """A sentence for everything about services that cannot be."""
    for name, service in services.items():
        place = f"[services.{name}]"
        if name in contexts or not name:
            yield f"{place}: {name!r} is a context of the shop: give the service another name"
        for address in service.at:
            if not ADDRESS.fullmatch(address):
                yield f"{place}: {address!r} is no address: host:port, as chat.internal:9000"
        for origin in service.origins:
            if not ORIGIN.fullmatch(origin):
                yield f"{place}: {origin!r} is no origin: a scheme and a host in small letters, as https://partner.example"
