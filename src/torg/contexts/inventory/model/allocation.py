"""Which warehouses an order is served from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torg.contexts.inventory.contracts import Allocation, Units
from torg.contexts.inventory.model.places import Place, distance_km, find_place


@dataclass(frozen=True)
class Shelf:
    """A product's free units in one warehouse."""

    warehouse_id: str
    product_id: str
    available: int
    city: str
    place: Place


@dataclass(frozen=True)
class Plan:
    """Who gives what; `source` is the city of the nearest warehouse that gives anything. Allocations are in the order in which rows are locked."""

    allocations: tuple[Allocation, ...]
    source: str


@dataclass(frozen=True)
class Shortage:
    """Products of which all warehouses together have too little."""

    products: tuple[str, ...]


def merged(lines: Iterable[Units]) -> tuple[Units, ...]:
    """One line per product, in the order of their ids."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return tuple(Units(product, wanted[product]) for product in sorted(wanted))


def allocate(lines: Iterable[Units], shelves: Iterable[Shelf], city: str) -> Plan | Shortage:
    """From the nearest warehouse that has everything; else each product from the nearest ones that together have it.

    A city that no table knows is served in the order of the warehouses' ids: the same way each time."""
    wanted, sorted_shelves = merged(lines), _nearest_first(shelves, city)
    whole = _from_one(wanted, sorted_shelves)
    if whole is not None:
        return whole
    total: dict[str, int] = {}
    for shelf in sorted_shelves:
        total[shelf.product_id] = total.get(shelf.product_id, 0) + shelf.available
    if short := tuple(line.product_id for line in wanted if total.get(line.product_id, 0) < line.quantity):
        return Shortage(short)
    return _from_several(wanted, sorted_shelves)


def _nearest_first(shelves: Iterable[Shelf], city: str) -> Sequence[Shelf]:
    there = find_place(city)
    if there is None:
        return sorted(shelves, key=lambda shelf: shelf.warehouse_id)
    return sorted(shelves, key=lambda shelf: (distance_km(shelf.place, there), shelf.warehouse_id))


def _from_one(wanted: Sequence[Units], shelves: Sequence[Shelf]) -> Plan | None:
    there = {(shelf.warehouse_id, shelf.product_id): shelf.available for shelf in shelves}
    cities = {shelf.warehouse_id: shelf.city for shelf in shelves}
    for warehouse, city in cities.items():
        if all(there.get((warehouse, line.product_id), 0) >= line.quantity for line in wanted):
            return Plan(tuple(Allocation(warehouse, line.product_id, line.quantity) for line in wanted), city)
    return None


def _from_several(wanted: Sequence[Units], shelves: Sequence[Shelf]) -> Plan:
    missing, taken, source = {line.product_id: line.quantity for line in wanted}, [], ""
    for shelf in shelves:
        if part := min(missing.get(shelf.product_id, 0), shelf.available):
            taken.append(Allocation(shelf.warehouse_id, shelf.product_id, part))
            missing[shelf.product_id] -= part
            source = source or shelf.city
    return Plan(tuple(sorted(taken, key=lambda part: (part.product_id, part.warehouse_id))), source)


def back_home(lines: Iterable[Units], given: Sequence[Allocation], elsewhere: str) -> tuple[Allocation, ...]:
    """Where returned units go: to the warehouses that gave them, as much as each gave; what none of them gave goes to `elsewhere`."""
    parts = []
    for line in merged(lines):
        left = line.quantity
        for gave in given:
            if gave.product_id == line.product_id and (part := min(left, gave.quantity)):
                parts.append(Allocation(gave.warehouse_id, line.product_id, part))
                left -= part
        if left:
            parts.append(Allocation(given[0].warehouse_id if given else elsewhere, line.product_id, left))
    return tuple(parts)
