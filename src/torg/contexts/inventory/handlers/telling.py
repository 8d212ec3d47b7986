"""What the shop is told when stock has changed."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.inventory.contracts import LowStock, StockChanged, StocksChanged, Units
from torg.contexts.inventory.ports import ForSale
from torg.kit.messages import Event
from torg.kit.portions import portions
from torg.kit.store import Transaction

FEW = 50  # up to so many products are told one by one
A_LOT = 1000  # products of one StocksChanged


async def tell(tx: Transaction, offers: Sequence[ForSale], stream: str = "") -> None:
    """One StockChanged per product, in the product's own stream; many at once go into `stream` by the thousand."""
    if len(offers) > FEW and stream:
        items = (Units(offer.product_id, offer.available) for offer in offers)
        await tx.append(stream, [StocksChanged(portion) for portion in portions(items, A_LOT)])
        return
    for offer in offers:
        await tx.append(offer.product_id, changes(offer))


def changes(offer: ForSale) -> list[Event]:
    """What there is to tell of a product after a change."""
    changed = StockChanged(offer.product_id, offer.available)
    return [changed, low(offer)] if offer.became_low else [changed]


def low(offer: ForSale) -> LowStock:
    return LowStock(product_id=offer.product_id, available=offer.available, alert_below=offer.alert_below)
