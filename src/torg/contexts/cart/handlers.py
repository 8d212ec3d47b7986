"""What carts do. The table at the bottom is the index."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from torg.contexts.cart import contracts as c
from torg.contexts.cart import model
from torg.contexts.cart.model import Cart, Line, Market
from torg.contexts.cart.ports import CartDeps, Owner, Redemption
from torg.contexts.catalog.contracts import GetOffers, Offer
from torg.contexts.inventory.contracts import GetAvailability
from torg.contexts.order.contracts import GetOrder, OrderCancelled, OrderPlaced, OrderRejected
from torg.contexts.user.contracts import UserErased
from torg.kit.auth import Identity
from torg.kit.calls import Handlers
from torg.kit.errors import ConcurrentChange, DomainError, NotFound, Unavailable
from torg.kit.messages import Envelope
from torg.kit.rebuilding import Findings, Rebuilt
from torg.kit.store import Transaction
from torg.kit.values import Language, Money

PROMOS_AT_ONCE = 100
ABANDONED = timedelta(days=30)  # a guest's cart that nobody has touched since is forgotten
NEVER_PLACED = timedelta(minutes=10)  # longer than any request lives that counts a use and then places its order
BATCH = 500

# ---------------------------------------------------------------- buyers and guests ask


async def get_cart(query: c.GetCart, deps: CartDeps) -> c.CartView:
    owner = _owner(query.visitor, query.guest_cart_id, deps)
    cart = await deps.carts.find(owner)
    return await _view(cart, owner, await _market(cart.product_ids, deps), query.language, deps)


async def put_item(cmd: c.PutItem, deps: CartDeps) -> c.CartView:
    owner = _owner(cmd.visitor, cmd.guest_cart_id, deps)
    before = await deps.carts.find(owner)
    market = await _market((*(id for id in before.product_ids if id != cmd.product_id), cmd.product_id), deps)
    line = _line(cmd, before, market)
    cart = await deps.carts.change(owner, partial(model.put, line=line))
    return await _view(cart, owner, market, cmd.language, deps)


async def remove_item(cmd: c.RemoveItem, deps: CartDeps) -> c.CartView:
    owner = _owner(cmd.visitor, cmd.guest_cart_id, deps)
    cart = await deps.carts.change(owner, partial(model.removed, product_id=cmd.product_id))
    return await _view(cart, owner, await _market(cart.product_ids, deps), cmd.language, deps)


async def clear_cart(cmd: c.ClearCart, deps: CartDeps) -> c.CartView:
    owner = _owner(cmd.visitor, cmd.guest_cart_id, deps)
    cart = await deps.carts.change(owner, model.cleared)
    return await _view(cart, owner, await _market((), deps), cmd.language, deps)


async def apply_promo_code(cmd: c.ApplyPromoCode, deps: CartDeps) -> c.CartView:
    owner, code = _owner(cmd.visitor, cmd.guest_cart_id, deps), cmd.code.upper()
    before = await deps.carts.find(owner)
    market = await _market(before.product_ids, deps)
    benefit = await _benefit(code, owner, model.total_of(model.priced(before, market, cmd.language), deps.currency), deps)
    if benefit.refusal:
        raise benefit.refusal
    cart = await deps.carts.change(owner, lambda cart: Cart(cart.id, cart.lines, code))
    return await _view(cart, owner, market, cmd.language, deps)


async def drop_promo_code(cmd: c.DropPromoCode, deps: CartDeps) -> c.CartView:
    owner = _owner(cmd.visitor, cmd.guest_cart_id, deps)
    cart = await deps.carts.change(owner, lambda cart: Cart(cart.id, cart.lines) if cart.promo_code else cart)
    return await _view(cart, owner, await _market(cart.product_ids, deps), cmd.language, deps)


# ---------------------------------------------------------------- other contexts ask


async def merge_carts(cmd: c.MergeCarts, deps: CartDeps) -> None:
    await deps.carts.move(Owner("guest", cmd.guest_cart_id), Owner("user", cmd.user_id), model.merged)


async def get_quote(query: c.GetQuote, deps: CartDeps) -> c.Quote:
    """At prices that hold: where one cannot be asked, there is no quote (Unavailable)."""
    owner = Owner("user", query.user_id)
    cart = await deps.carts.find_to_order(owner)
    market = _told(cart, query.asked) if query.asked else await _full_market(cart.product_ids, deps)
    lines = model.quoted(cart, market)
    items_total = model.total_of(lines, deps.currency)
    benefit = await _benefit(cart.promo_code, owner, items_total, deps)
    return c.Quote(
        cart_id=cart.id, lines=lines, items_total=items_total, discount=benefit.discount, free_delivery=benefit.free_delivery,
        promo_code=cart.promo_code if benefit.applies else "",
    )  # fmt: skip


async def get_kept_cart(query: c.GetKeptCart, deps: CartDeps) -> c.CartView:
    owner = Owner("user", query.user_id)
    return await _view(await deps.carts.find(owner), owner, Market(None, None), query.language, deps)


async def redeem_promo_code(cmd: c.RedeemPromoCode, deps: CartDeps) -> None:
    use = Redemption(cmd.code.upper(), cmd.order_id, cmd.user_id)
    async with deps.transaction() as tx:
        promo = await deps.promos.redeem(tx, use, deps.clock())
        if promo is None:
            return
        if refusal := model.refusal(promo, cmd.items_total, deps.clock()):
            raise refusal
        await tx.append(f"promo/{use.code}", [c.PromoCodeRedeemed(code=use.code, order_id=use.order_id, user_id=use.user_id)])


async def give_back_promo_code(cmd: c.GiveBackPromoCode, deps: CartDeps) -> None:
    async with deps.transaction() as tx:
        await _give_back(tx, cmd.order_id, deps)


async def close_cart(cmd: c.CloseCart, deps: CartDeps) -> None:
    """The next cart is named after the order: whoever closes, and however often, it is the same one, and never one that was ordered."""
    close = partial(model.closed, cart_id=cmd.cart_id, ordered=cmd.lines, next_id=cmd.order_id)
    await deps.carts.change(Owner("user", cmd.user_id), close)


# ---------------------------------------------------------------- staff ask


async def create_promo_code(cmd: c.CreatePromoCode, deps: CartDeps) -> c.PromoCode:
    promo = model.promo_code(cmd, deps.currency, deps.clock())
    async with deps.transaction() as tx:
        if not await deps.promos.add(tx, promo):
            raise DomainError("promo.code_taken", f"there is a promo code {promo.code} already")
        await tx.append(f"promo/{promo.code}", [c.PromoCodeCreated(promo)])
        return await tx.answer(promo)


async def disable_promo_code(cmd: c.DisablePromoCode, deps: CartDeps) -> c.PromoCode:
    code = cmd.code.upper()
    async with deps.transaction() as tx:
        if await deps.promos.disable(tx, code):
            await tx.append(f"promo/{code}", [c.PromoCodeDisabled(code)])
        return await tx.answer(_known(code, await deps.promos.find(code, tx)))


async def get_promo_code(query: c.GetPromoCode, deps: CartDeps) -> c.PromoCode:
    code = query.code.upper()
    return _known(code, await deps.promos.find(code))


async def list_promo_codes(query: c.ListPromoCodes, deps: CartDeps) -> c.PromoCodePage:
    found, cursor = await deps.promos.page(query.cursor, query.limit)
    return c.PromoCodePage(tuple(found), cursor)


# ---------------------------------------------------------------- operators ask


async def rebuild_promo_codes(cmd: c.RebuildPromoCodes, deps: CartDeps) -> Rebuilt:
    """A code in a transaction. What its log has said until then is read before, so that whoever orders with it waits for the rest of it only."""
    began, found, last = time.perf_counter(), Findings(), ""
    while codes := await deps.promos.codes(last, PROMOS_AT_ONCE):
        for code in codes:
            told = await deps.store.log.stream(f"promo/{code}")
            found.add(await deps.store.undisturbed(partial(_rebuild_promo_code, code, told, cmd, deps), cmd.NAME))
        last = codes[-1]
    return found.rebuilt(time.perf_counter() - began)


async def _rebuild_promo_code(code: str, told: Sequence[Envelope], cmd: c.RebuildPromoCodes, deps: CartDeps) -> Findings:
    found = Findings(1)
    async with deps.transaction() as tx:
        rest = await tx.stream(f"promo/{code}", told[-1].version if told else 0)
        used, kept = await deps.promos.uses(tx, code)
        uses = model.uses(row.message for row in (*told, *rest))
        wrong = model.miskept(kept, uses)
        count = sum(state != "returned" for _, state in uses.values())
        if wrong or used != count:
            was, now = f"{used} uses", f"{count} uses"
            found.changes.append(f"{code} counts {was}, of which {len(wrong)} are kept wrongly; by the log {now}")
            if not cmd.dry_run:
                await deps.promos.set_uses(tx, code, count, wrong, deps.clock())
                reason = cmd.reason or "made what the log says"
                await tx.append(f"promo/{code}", [c.PromoCodeMended(about="promo_code", id=code, was=was, now=now, reason=reason, by=cmd.operator.user_id)])
    return found


# ---------------------------------------------------------------- others tell


async def on_order_placed(event: OrderPlaced, deps: CartDeps) -> None:
    """Whoever placed the order closes its cart at once; this is for when they died on the way."""
    ordered = tuple(c.OrderedLine(line.product_id, line.quantity) for line in event.lines)
    await close_cart(c.CloseCart(cart_id=event.bucket_id, user_id=event.user_id, order_id=event.order_id, lines=ordered), deps)
    async with deps.transaction() as tx:
        await deps.carts.note_ordered(tx, event.user_id, event.bucket_id, event.order_id, ordered)
        if event.promo_code:
            await deps.promos.note_placed(tx, event.order_id)


async def on_order_came_to_nothing(event: OrderRejected | OrderCancelled, deps: CartDeps) -> None:
    async with deps.transaction() as tx:
        await _give_back(tx, event.order_id, deps)


async def on_user_erased(event: UserErased, deps: CartDeps) -> None:
    await deps.carts.forget(Owner("user", event.user_id))


# ---------------------------------------------------------------- from time to time


async def purge_abandoned(deps: CartDeps) -> None:
    while await deps.carts.purge(deps.clock() - ABANDONED, BATCH) == BATCH:
        pass


async def give_back_unplaced(deps: CartDeps) -> None:
    """A use whose order never came to be is given back; the orders are asked, as their events may only be late."""
    for use in await deps.promos.unplaced(deps.clock() - NEVER_PLACED, BATCH):
        placed = await _was_placed(use, deps)
        async with deps.transaction() as tx:
            await (deps.promos.note_placed(tx, use.order_id) if placed else _give_back(tx, use.order_id, deps))


# ---------------------------------------------------------------- small print


def _owner(visitor: Identity | None, guest_cart_id: str, deps: CartDeps) -> Owner:
    return Owner("user", visitor.user_id) if visitor else Owner("guest", guest_cart_id or deps.new_id())


def _told(cart: Cart, asked: c.Asked) -> Market:
    if not set(cart.product_ids) <= set(asked.product_ids):
        raise ConcurrentChange("cart.changed", "something was put into the cart at this very moment: look at it again")
    return Market({offer.product_id: offer for offer in asked.offers}, {units.product_id: units.quantity for units in asked.stock})


async def _full_market(product_ids: tuple[str, ...], deps: CartDeps) -> Market:
    return Market(await _offers(product_ids, deps), await _stock(product_ids, deps)) if product_ids else Market({}, {})


async def _market(product_ids: tuple[str, ...], deps: CartDeps) -> Market:
    """As much as can be asked just now."""
    if not product_ids:
        return Market({}, {})
    try:
        offers = await _offers(product_ids, deps)
    except Unavailable:
        offers = None
    try:
        return Market(offers, await _stock(product_ids, deps))
    except Unavailable:
        return Market(offers, None)


async def _offers(product_ids: tuple[str, ...], deps: CartDeps) -> dict[str, Offer]:
    return {offer.product_id: offer for offer in await deps.call(GetOffers(product_ids))}


async def _stock(product_ids: tuple[str, ...], deps: CartDeps) -> dict[str, int]:
    return {units.product_id: units.quantity for units in await deps.call(GetAvailability(product_ids))}


def _line(cmd: c.PutItem, before: Cart, market: Market) -> Line:
    """The line to put in; while the catalogue is away, only more or less of what is in already (Unavailable otherwise)."""
    if market.offers is not None:
        offer = model.offered(cmd.product_id, market)
        return Line(cmd.product_id, cmd.quantity, offer.name, offer.name_ru, offer.price)
    for line in before.lines:
        if line.product_id == cmd.product_id:
            return Line(line.product_id, cmd.quantity, line.name, line.name_ru, line.price)
    raise Unavailable("the catalogue does not answer now: try again in a moment")


async def _view(cart: Cart, owner: Owner, market: Market, language: Language, deps: CartDeps) -> c.CartView:
    items = model.priced(cart, market, language)
    subtotal = model.total_of(items, deps.currency)
    benefit = await _benefit(cart.promo_code, owner, subtotal, deps)
    return c.CartView(
        id=cart.id, items=items, subtotal=subtotal, discount=benefit.discount, total=subtotal - benefit.discount,
        promo=benefit.state(cart.promo_code) if cart.promo_code else None, guest=owner.kind == "guest", stale=not market.complete,
    )  # fmt: skip


@dataclass(frozen=True)
class _Benefit:
    """What a code does for a cart, or why it does nothing."""

    discount: Money
    applies: bool = False
    free_delivery: bool = False
    refusal: DomainError | None = None

    def state(self, code: str) -> c.PromoState:
        reason = self.refusal.detail if self.refusal else ""
        return c.PromoState(code=code, applied=self.applies, free_delivery=self.free_delivery, reason=reason)


async def _benefit(code: str, owner: Owner, items_total: Money, deps: CartDeps) -> _Benefit:
    nothing = Money(0, deps.currency)
    if not code:
        return _Benefit(nothing)
    promo = await deps.promos.find(code)
    if promo is None:
        return _Benefit(nothing, refusal=_unknown(code))
    used = await deps.promos.uses_by(code, owner.id) if promo.uses_per_person is not None and owner.kind == "user" else 0
    if refusal := model.refusal(promo, items_total, deps.clock()) or model.use_refusal(promo, used):
        return _Benefit(nothing, refusal=refusal)
    return _Benefit(model.discount(promo, items_total), applies=True, free_delivery=promo.kind == "free_delivery")


async def _give_back(tx: Transaction, order_id: str, deps: CartDeps) -> None:
    for code in await deps.promos.give_back(tx, order_id):
        await tx.append(f"promo/{code}", [c.PromoCodeGivenBack(code=code, order_id=order_id)])


async def _was_placed(use: Redemption, deps: CartDeps) -> bool:
    try:
        await deps.call(GetOrder(use.order_id, Identity(use.user_id, frozenset())))
    except NotFound:
        return False
    return True


def _known(code: str, promo: c.PromoCode | None) -> c.PromoCode:
    if promo is None:
        raise _unknown(code)
    return promo


def _unknown(code: str) -> NotFound:
    return NotFound("promo.not_found", f"there is no promo code {code}")


HANDLERS: Handlers = {
    c.GetCart: get_cart,
    c.PutItem: put_item,
    c.RemoveItem: remove_item,
    c.ClearCart: clear_cart,
    c.ApplyPromoCode: apply_promo_code,
    c.DropPromoCode: drop_promo_code,
    c.MergeCarts: merge_carts,
    c.GetQuote: get_quote,
    c.GetKeptCart: get_kept_cart,
    c.RedeemPromoCode: redeem_promo_code,
    c.GiveBackPromoCode: give_back_promo_code,
    c.CloseCart: close_cart,
    c.CreatePromoCode: create_promo_code,
    c.DisablePromoCode: disable_promo_code,
    c.ListPromoCodes: list_promo_codes,
    c.GetPromoCode: get_promo_code,
    c.RebuildPromoCodes: rebuild_promo_codes,
}

REACTIONS: Handlers = {
    OrderPlaced: on_order_placed,
    OrderRejected: on_order_came_to_nothing,
    OrderCancelled: on_order_came_to_nothing,
    UserErased: on_user_erased,
}
