"""The shop as its next version may be: every message of its contexts has one more field, and orders tell of something that this version has no word for.

`python -m tests.fleet.newer serve order` runs it as `python -m torg serve order` runs this version."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

import torg
from torg import topology
from torg.kit.messages import Event, Message, defined_in, message

FIELD, WRAPPED = "newer", "order.wrapped"


def widen(modules: list[ModuleType]) -> None:
    """Puts messages with one more field in the place of all that these contracts define."""
    wider: dict[type, Any] = {}
    for contracts in modules:
        for name, kind in vars(contracts).items():
            if isinstance(kind, type) and issubclass(kind, Message) and kind.NAME and defined_in(kind, contracts):
                fields = [(FIELD, str, msgspec.field(default="a word of the next version's"))]
                made: Any = msgspec.defstruct(name, fields, bases=(kind,), frozen=True, kw_only=True, module=contracts.__name__)
                wider[kind] = message(kind.NAME, kind.VERSION)(made)
    for contracts in modules:
        for name, kind in list(vars(contracts).items()):
            if isinstance(kind, type) and kind in wider:
                setattr(contracts, name, wider[kind])


def wrap_orders() -> None:
    """Each order tells, when it is confirmed, that it was wrapped."""
    contracts = importlib.import_module("torg.contexts.order.contracts")
    wrapped: Any = msgspec.defstruct("OrderWrapped", [("order_id", str)], bases=(Event,), frozen=True, kw_only=True, module=contracts.__name__)
    contracts.OrderWrapped = message(WRAPPED)(wrapped)  # type: ignore[attr-defined]
    model: Any = importlib.import_module("torg.contexts.order.model")
    confirm = model.Order.confirm
    model.Order.confirm = lambda order, delivery_date: [*confirm(order, delivery_date), wrapped(order_id=order.id)]


def main() -> None:
    """Before anything else has taken a message by its name."""
    homes = [Path(torg.__file__).parent / "contexts" / context for context in topology.CONTEXTS]
    widen([importlib.import_module(f"torg.contexts.{home.name}.contracts") for home in homes if any(home.glob("contracts*"))])
    wrap_orders()
    importlib.import_module("torg.cli").main()


if __name__ == "__main__":
    main()
