"""Known bugs, to be put in on purpose: the proof that the simulation would notice them. Each is a small change of a running program, made in a worker's
process and nowhere else; what they are modelled on has cost real shops money, goods or their customers' trust."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from torg.simulation.plan import Fault

Topology = Literal["all", "fleet"]


@dataclass(frozen=True)
class Bug:
    """`put_in` changes this process for good; `wants` is what goes wrong in each run besides what its seed draws, where that comes together too seldom."""

    sentence: str
    put_in: Callable[[], None]
    topology: Topology = "all"
    wants: tuple[Fault, ...] = ()


# ---------------------------------------------------------------- commits and logs


def acknowledge_before_commit() -> None:
    from torg.kit.sql.sqlite import _Group

    async def join(self: Any, then: Any) -> None:
        self.then += then
        await asyncio.sleep(0)

    _Group.join = join  # type: ignore[method-assign]


def publish_before_commit() -> None:
    from torg.kit import store

    async def leave(self: Any, kind: Any, error: Any, trace: Any) -> None:
        if kind is None and self._tx.appended:
            self._store.log.publish(self._tx.appended)
            self._tx.appended = []
        await own(self, kind, error, trace)

    own = store._Own.__aexit__
    store._Own.__aexit__ = leave  # type: ignore[method-assign]


def skip_a_row_now_and_then() -> None:
    from torg.kit.log import Log

    async def tail(self: Any, after: int, limit: int) -> Any:
        return [row for row in await whole(self, after, limit) if row.position % 97]

    whole = Log.tail
    Log.tail = tail  # type: ignore[method-assign]


def remember_what_was_not_committed() -> None:
    from torg.contexts.order.adapters.store_sql import SqlOrderStore

    def remember(self: Any, tx: Any, order: Any, version: int) -> None:
        self._snapshots[order.id] = (version, order)

    SqlOrderStore._remember = remember  # type: ignore[method-assign]


# ---------------------------------------------------------------- consumers


def file_positions_before_effects() -> None:
    from torg.kit.bus.consumer import BusConsumer

    async def take(self: Any, rows: Any, positions: Any) -> bool:
        async with self._store.transaction() as tx:
            await self._file_positions(tx, positions)
        return await all_of(self, rows, {})

    all_of = BusConsumer._take_all
    BusConsumer._take_all = take  # type: ignore[method-assign]


def swallow_what_fails() -> None:
    from torg.kit.bus.consumer import BusConsumer

    async def handle(self: Any, row: Any) -> None:
        try:
            await strict(self, row)
        except Exception as error:
            if self._is_lost(error):
                raise

    strict = BusConsumer._handle
    BusConsumer._handle = handle  # type: ignore[method-assign]


# ---------------------------------------------------------------- keys


def answer_apart_from_its_effect() -> None:
    from torg.kit.store import Transaction

    async def answer(self: Any, reply: Any) -> Any:
        return reply

    Transaction.answer = answer  # type: ignore[method-assign]


def key_good_for_any_body() -> None:
    from torg.kit.http import idempotency

    def replay(fingerprint: str, filed_for: str, answer: Any) -> Any:
        return strict(filed_for, filed_for, answer)

    strict = idempotency._replay
    idempotency._replay = replay


def key_of_everybody() -> None:
    from torg.kit.store import Store

    async def answered(self: Any, caller: str, key: str) -> Any:
        row = await self.database.one("select caller from answer where key = :key", key=key)
        return await own(self, row["caller"] if row else caller, key)

    own = Store.answered
    Store.answered = answered  # type: ignore[method-assign]


# ---------------------------------------------------------------- sagas


def forget_deadlines() -> None:
    from torg.kit.saga_runner import SagaRunner

    async def sleep_on(self: Any) -> None: ...

    SagaRunner.work_on_deadlines = sleep_on  # type: ignore[method-assign]


def let_clocks_decide() -> None:
    """What was written while a clock was ahead waits until the others get there."""
    from torg.kit.saga_runner import SagaRunner

    async def believe(self: Any, now: Any) -> None: ...

    SagaRunner._set_right = believe  # type: ignore[method-assign]


def take_silence_for_no() -> None:
    from torg.kit import saga

    def overdue(table: Any, now_at: Any, now: Any) -> Any:
        if now_at.status == "running":
            return saga.failed(table, now_at, "no answer", now)
        return patient(table, now_at, now)

    patient = saga.overdue
    _set(saga, "overdue", overdue)


def no_undo_of_reservations() -> None:
    _without_undo("reserve")


def no_undo_of_payments() -> None:
    _without_undo("pay")


def _without_undo(name: str) -> None:
    from torg.contexts.order.sagas import CHECKOUT

    steps = tuple(replace(step, undo=None, make_undo=None, undone=None) if step.name == name else step for step in CHECKOUT.steps)
    object.__setattr__(CHECKOUT, "steps", steps)


def no_refund_of_cancelled_orders() -> None:
    from torg.contexts.order.sagas import CANCEL

    object.__setattr__(CANCEL, "steps", tuple(step for step in CANCEL.steps if step.name != "refund"))


# ---------------------------------------------------------------- stock


def allocate_from_a_cache() -> None:
    """What is free is remembered for a second; the table's own check is got round, as where there is none."""
    from torg.contexts.inventory.adapters import store_sql
    from torg.contexts.inventory.adapters.store_sql import SqlShelves

    async def free(self: Any, tx: Any, product_ids: Any) -> Any:
        now, key = asyncio.get_running_loop().time(), tuple(product_ids)
        if key not in known or now - known[key][0] > 1:
            known[key] = now, await read(self, tx, product_ids)
        return known[key][1]

    known: dict[tuple[str, ...], tuple[float, Any]] = {}
    read = SqlShelves.free
    SqlShelves.free = free  # type: ignore[method-assign]
    store_sql._HOLD = store_sql._HOLD.partition(" and on_hand")[0].replace("= reserved + :quantity", "= min(on_hand, reserved + :quantity)")


def forget_to_let_go() -> None:
    from torg.contexts.inventory.adapters.store_sql import SqlShelves

    async def let_go(self: Any, tx: Any, parts: Any) -> Any:
        return ()

    SqlShelves.let_go = let_go  # type: ignore[method-assign]


def confirm_what_has_run_out() -> None:
    """A hold that runs out is let go without a word, and an order that is confirmed after it does not look."""
    from torg.contexts.inventory import handlers
    from torg.contexts.inventory.contracts import ReservationExpired
    from torg.contexts.order.contracts import OrderConfirmed
    from torg.kit.store import Transaction

    async def append(self: Any, stream: Any, messages: Any, expected: Any = None) -> Any:
        heard = [message for message in messages if not isinstance(message, ReservationExpired)]
        return await whole(self, stream, heard, expected) if heard else ()

    async def confirmed(event: Any, deps: Any) -> None:
        async with deps.transaction() as tx:
            found = await deps.reservations.find(tx, event.order_id)
        if found is None or found.status != "expired":
            await careful(event, deps)

    whole, careful = Transaction.append, handlers.REACTIONS[OrderConfirmed]
    Transaction.append = append  # type: ignore[method-assign]
    _replace(handlers.REACTIONS, OrderConfirmed, confirmed)


def receive_more_than_was_ordered() -> None:
    """What has come is read, and written back later."""
    from torg.contexts.inventory.model import purchasing

    def receive(order: Any, came: Any, now: Any) -> Any:
        import msgspec

        nothing_came = tuple(msgspec.structs.replace(line, received=0) for line in order.lines)
        return strict(msgspec.structs.replace(order, status="ordered", lines=nothing_came), came, now)

    strict = purchasing.receive
    _set(importlib.import_module("torg.contexts.inventory.handlers.purchasing").model, "receive", receive)


def sell_what_the_offer_says() -> None:
    """The number that buyers see is not kept up with what is held."""
    from torg.contexts.inventory.adapters import store_sql

    store_sql._CHANGE = store_sql._CHANGE.replace("available + :change", "available + 0 * :change")


# ---------------------------------------------------------------- money


def pay_from_an_empty_wallet() -> None:
    from torg.contexts.payment.adapters import ledger_sql

    ledger_sql._DEBIT = ledger_sql._DEBIT.replace(" and amount >= :amount", " and 0 <= :amount")


def debit_without_credit() -> None:
    from torg.contexts.payment.adapters.ledger_sql import SqlLedger

    async def move(self: Any, tx: Any, leg: Any, currency: str) -> bool:
        return True if leg.amount > 0 and leg.account.startswith("wallet") else await both(self, tx, leg, currency)

    both = SqlLedger._move
    SqlLedger._move = move  # type: ignore[method-assign]


def refund_as_often_as_asked() -> None:
    from torg.contexts.payment import handlers
    from torg.contexts.payment.contracts import RefundPayment

    async def refund(cmd: Any, deps: Any) -> None:
        import msgspec

        await once(msgspec.structs.replace(cmd, refund_id=f"{cmd.refund_id}/{deps.new_id()}"), deps)
        await once(cmd, deps)

    once = handlers.REACTIONS[RefundPayment]
    _replace(handlers.REACTIONS, RefundPayment, refund)


def charge_the_list_price() -> None:
    """What was promised after the promo code is not what is taken."""
    from torg.contexts.order.sagas import CHECKOUT
    from torg.kit.values import Money

    def charge(state: Any) -> Any:
        import msgspec

        asked = state.charge()
        return msgspec.structs.replace(asked, amount=Money(asked.amount.amount + 1, asked.amount.currency))

    object.__setattr__(CHECKOUT, "steps", tuple(replace(step, make=charge) if step.name == "pay" else step for step in CHECKOUT.steps))


def never_capture() -> None:
    from torg.contexts.payment.handlers import acquiring

    async def look(payment: Any, _: Any, deps: Any) -> Any:
        return replace(await deps.acquirer.get(payment.acquirer_id), status="captured", captured=payment.amount.amount)

    _replace(acquiring.ERRANDS, "capture", look)


def open_a_new_charge_for_each_try() -> None:
    from torg.contexts.payment.handlers import acquiring

    async def create(payment: Any, _: Any, deps: Any) -> Any:
        await deps.acquirer.create_session(deps.new_id(), payment.amount, deps.shop_url)
        return await first(payment, _, deps)

    first = acquiring.ERRANDS["create"]
    _replace(acquiring.ERRANDS, "create", create)


# ---------------------------------------------------------------- orders and carts


def order_a_cart_as_often_as_asked() -> None:
    from torg.contexts.order.adapters import store_sql
    from torg.contexts.order.adapters.store_sql import SqlOrderStore

    async def place(self: Any, tx: Any, placed: Any) -> Any:
        await tx.execute("delete from order_of_cart where bucket_id = :id", id=placed.bucket_id)
        return await once(self, tx, placed)

    once = SqlOrderStore.place
    assert store_sql, "the table that it empties is this one's"
    SqlOrderStore.place = place  # type: ignore[method-assign]


def read_then_write_promo_uses() -> None:
    from torg.contexts.cart import handlers
    from torg.contexts.cart.contracts import RedeemPromoCode

    async def redeem(cmd: Any, deps: Any) -> None:
        async with deps.transaction() as tx:
            used = await tx.value("select used from promo_code where code = :code", code=cmd.code.upper())
            most = await tx.value("select uses_total from promo_code where code = :code", code=cmd.code.upper())
        await asyncio.sleep(0.01)
        if most is not None and used >= most:
            await careful(cmd, deps)
            return
        async with deps.transaction() as tx:
            await tx.execute("update promo_code set used = 0 where code = :code", code=cmd.code.upper())
            await careful(cmd, deps)
            await tx.execute("update promo_code set used = :used where code = :code", code=cmd.code.upper(), used=used + 1)

    careful = handlers.HANDLERS[RedeemPromoCode]
    _replace(handlers.HANDLERS, RedeemPromoCode, redeem)


def cancel_what_has_left_the_house() -> None:
    from torg.contexts.shipping.contracts import ShippingCancelled
    from torg.contexts.shipping.model import delivery

    _set(delivery, "cancelling_answer", lambda order_id, found: ShippingCancelled(order_id))


def hand_over_before_confirmation() -> None:
    from torg.contexts.shipping import handlers

    async def ready(found: Any, status: str, deps: Any) -> None: ...

    _set(handlers, "_check_readiness", ready)


def review_as_often_as_wanted() -> None:
    from torg.contexts.review.adapters.store_sql import SqlReviewStore

    async def add(self: Any, tx: Any, review: Any) -> Any:
        await tx.execute("delete from review where user_id = :user_id and product_id = :product_id", user_id=review.user_id, product_id=review.product_id)
        return await once(self, tx, review)

    once = SqlReviewStore.add
    SqlReviewStore.add = add  # type: ignore[method-assign]


def show_orders_to_anybody() -> None:
    from torg.kit.access import Access

    def allows(self: Any, who: Any, right: str, *about: Any, **more: Any) -> bool:
        return right.startswith("orders:") or own(self, who, right, *about, **more)

    own = Access.allows
    _set(Access, "allows", allows)


def _set(where: Any, name: str, value: Any) -> None:
    setattr(where, name, value)


def _replace(table: Any, key: Any, value: Any) -> None:
    table[key] = value


def _known(*bugs: tuple[Callable[[], None], str]) -> Mapping[str, Bug]:
    return {bug.__name__: Bug(sentence, bug, *WANT.get(bug.__name__, ())) for bug, sentence in bugs}


WANT: Final[Mapping[str, tuple[Topology, tuple[Fault, ...]]]] = {
    "let_clocks_decide": ("all", (Fault(at=2, what="clock", where="shop", seconds=4, amount=3600),)),
    "confirm_what_has_run_out": ("fleet", (Fault(at=2, what="clock", where="inventory", seconds=4, amount=3600),)),
}
BUGS: Final = _known(
    (acknowledge_before_commit, "A change is acknowledged before it is safe on the disk."),
    (publish_before_commit, "Others hear of a change before it is safe: it may never have been."),
    (skip_a_row_now_and_then, "A reader of a log steps over a row, as over a hole in a sequence."),
    (remember_what_was_not_committed, "An order's state is kept in memory before its commit, which may fail."),
    (file_positions_before_effects, "A consumer's position is committed before the effects of what it has read."),
    (swallow_what_fails, "What a handler fails on counts as handled."),
    (answer_apart_from_its_effect, "The answer to an Idempotency-Key is filed apart from its effect."),
    (key_good_for_any_body, "An Idempotency-Key answers for another body than it was first sent with."),
    (key_of_everybody, "An Idempotency-Key answers for whoever sends it."),
    (forget_deadlines, "Nobody looks after a saga whose answer has not come."),
    (let_clocks_decide, "What was written while a clock was ahead waits until it is that late."),
    (take_silence_for_no, "A step that was not answered in time counts as not done, and is not undone."),
    (no_undo_of_reservations, "An order that comes to nothing keeps its stock."),
    (no_undo_of_payments, "An order that comes to nothing keeps its money."),
    (no_refund_of_cancelled_orders, "A cancelled order is not paid back."),
    (allocate_from_a_cache, "Stock is promised by numbers that were read a moment ago."),
    (forget_to_let_go, "Units that were held stay held."),
    (confirm_what_has_run_out, "A reservation runs out during the payment, and the order is confirmed all the same."),
    (receive_more_than_was_ordered, "Two say that a supplier's goods have come, and they are counted twice."),
    (sell_what_the_offer_says, "What is offered is not brought down by what is held."),
    (pay_from_an_empty_wallet, "A wallet pays without a look at what it holds."),
    (debit_without_credit, "Money leaves one account and never comes to the other."),
    (refund_as_often_as_asked, "A refund is known by its request, not by its reason: asked again it is paid again."),
    (charge_the_list_price, "What is charged is not what was confirmed."),
    (never_capture, "An authorized payment is taken for captured, and never is."),
    (open_a_new_charge_for_each_try, "Each try to pay opens another charge at the acquirer."),
    (order_a_cart_as_often_as_asked, "Two tabs order one cart twice."),
    (read_then_write_promo_uses, "A promo code's uses are read, and written back later."),
    (cancel_what_has_left_the_house, "A parcel that has been handed over is cancelled, and paid back."),
    (hand_over_before_confirmation, "A parcel leaves for an order that may still come to nothing."),
    (review_as_often_as_wanted, "One buyer reviews a product as often as they like."),
    (show_orders_to_anybody, "Whoever knows an order's number sees it."),
)
