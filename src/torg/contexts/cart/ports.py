"""What carts need around them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from torg.contexts.cart.contracts import OrderedLine, PromoCode
from torg.contexts.cart.model import Cart, Use
from torg.kit.deps import Deps
from torg.kit.pages import Page
from torg.kit.store import Transaction


@dataclass(frozen=True)
class Owner:
    """Whose cart it is: a user, or a guest known by nothing but their cart's id. Neither can name the other's."""

    kind: Literal["guest", "user"]
    id: str

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.id}"


class CartStore(Protocol):
    """One cart for each owner. Who never put anything in has an empty one, named after the owner."""

    async def find(self, owner: Owner) -> Cart: ...

    async def find_to_order(self, owner: Owner) -> Cart:
        """The cart without what was ordered of it before, also where the store has lost that since."""
        ...

    async def change(self, owner: Owner, decide: Callable[[Cart], Cart]) -> Cart:
        """Puts what `decide` makes of the cart in its place, as one step: where others change it too, it is asked again. Giving the very
        same cart back changes nothing."""
        ...

    async def move(self, source: Owner, target: Owner, combine: Callable[[Cart, Cart], Cart]) -> None:
        """As one step: `target` gets combine(target's, source's), and `source` has none any more. Nothing happens where it had none."""
        ...

    async def forget(self, owner: Owner) -> None: ...

    async def purge(self, before: datetime, limit: int) -> int:
        """Forgets up to `limit` guests' carts that nobody has changed since; how many, 0 where they go by themselves."""
        ...

    async def note_ordered(self, tx: Transaction, user_id: str, cart_id: str, next_id: str, ordered: Sequence[OrderedLine]) -> None:
        """Keeps as surely as the caller's transaction, even where a cart may be lost: this cart was ordered, and `next_id` follows it."""
        ...


@dataclass(frozen=True)
class Redemption:
    """One use of a code, counted for an order that has yet to show up."""

    code: str
    order_id: str
    user_id: str


class PromoCodes(Protocol):
    """Promo codes, and the uses counted for orders. Uses never exceed a code's limits, however many orders race for the last one."""

    async def add(self, tx: Transaction, promo: PromoCode) -> bool:
        """False when the code exists."""
        ...

    async def disable(self, tx: Transaction, code: str) -> bool:
        """False when it was disabled before, or there is none."""
        ...

    async def find(self, code: str, tx: Transaction | None = None) -> PromoCode | None: ...
    async def uses_by(self, code: str, user_id: str) -> int: ...
    async def page(self, cursor: str, limit: int) -> Page[PromoCode]:
        """By their letters."""
        ...

    async def redeem(self, tx: Transaction, use: Redemption, now: datetime) -> PromoCode | None:
        """Counts a use and gives the code; None when this one is counted already. Raises DomainError `promo.exhausted`, `promo.expired` or
        `promo.not_applicable`; nothing is counted once the caller's transaction is undone."""
        ...

    async def note_placed(self, tx: Transaction, order_id: str) -> None:
        """The order exists: its uses stay until it comes to nothing."""
        ...

    async def give_back(self, tx: Transaction, order_id: str) -> Sequence[str]:
        """The codes of which the order had a use; it has none any more."""
        ...

    async def codes(self, after: str, limit: int) -> Sequence[str]:
        """So many codes behind one, in their order."""
        ...

    async def uses(self, tx: Transaction, code: str) -> tuple[int, dict[str, Use]]:
        """How many uses a code counts, and what is kept of them by order."""
        ...

    async def set_uses(self, tx: Transaction, code: str, used: int, uses: Mapping[str, Use], now: datetime) -> None:
        """Sets the count of a code's uses, and what is kept of some of them by order."""
        ...

    async def unplaced(self, before: datetime, limit: int) -> Sequence[Redemption]:
        """Uses counted before that moment, for orders nobody has heard of."""
        ...


@dataclass(frozen=True)
class CartDeps(Deps):
    carts: CartStore
    promos: PromoCodes
