"""Messages that the kit's own tests speak in."""

from __future__ import annotations

import sys

from torg.kit.messages import Command, Event, Query, Registry, message


@message("shelf.put")
class Put(Command[int], frozen=True):
    shelf: str
    things: int


@message("shelf.was_put")
class WasPut(Event, frozen=True):
    shelf: str
    things: int


@message("shelf.count")
class Count(Query[int], frozen=True):
    shelf: str


REGISTRY = Registry([sys.modules[__name__]])
