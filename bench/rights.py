"""What a decision costs: `python -m bench.rights`, with `src` on PYTHONPATH. Processor time of one process, the best of five rounds."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from torg.contexts.shipping.contracts import DeliveryView
from torg.contexts.user.contracts import Address
from torg.kit.access import Access
from torg.kit.auth import Identity, Role
from torg.kit.policy import Thing

ROUNDS, QUESTIONS = 5, 50_000
NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
OWN, OTHERS = Thing(owner="anna"), Thing(owner="boris")
PARCEL = DeliveryView(
    id="d", order_id="o", user_id="boris", kind="delivery", return_id="", source="Moscow",
    destination=Address(city="Omsk", street="Lenina 1", postcode="644000"), method="courier", pickup_point_id="",
    status="scheduled", shipment_date=NOW, delivery_date=NOW, tracking_number="T1", created_at=NOW, updated_at=NOW,
)  # fmt: skip


def main() -> None:
    access = Access.of_the_shop()
    buyer, support, packer = (Identity("anna", frozenset({role})) for role in (Role.CUSTOMER, Role.SUPPORT, Role.WAREHOUSE))
    program = Identity("anna", frozenset({Role.CUSTOMER}), scopes=frozenset({"orders:read", "account:read", "cart:write"}))
    asked: dict[str, Callable[[], object]] = {
        "at the edge: can a buyer have orders:read at all?": lambda: access.enter(buyer, "orders:read"),
        "the same of a program with three scopes": lambda: access.enter(program, "orders:read"),
        "in a handler: may a buyer read this order? their own": lambda: access.allows(buyer, "orders:read", OWN),
        "another's": lambda: access.allows(buyer, "orders:read", OTHERS),
        "by a program": lambda: access.allows(program, "orders:read", OWN),
        "may support give so much back, at this hour?": lambda: access.allows(support, "charges:write", Thing(amount=60_000), NOW),
        "a parcel as a warehouse sees it": lambda: access.seen(packer, "delivery", PARCEL),
        "why? with every line of the policy": lambda: access.why(buyer, "orders:read", OWN),
    }
    table = Table("question", "µs of a processor")
    for question, ask in asked.items():
        table.add_row(question, f"{min(_micros(ask) for _ in range(ROUNDS)):.1f}")
    Console().print(table)


def _micros(ask: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(QUESTIONS):
        ask()
    return (time.process_time() - began) / QUESTIONS * 1e6


if __name__ == "__main__":
    main()
