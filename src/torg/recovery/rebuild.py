"""`torg rebuild`: has a running shop build anew what it derives from its records, and make tables what its logs say."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from cyclopts import App, Parameter

from torg.recovery.asking import USUAL, Asked, answer

app = App(name="rebuild", help="Have the running shop build anew what it derives from its records, while it serves.")


@Parameter(name="*")
@dataclass(frozen=True)
class Wanted:
    """What is to be done about rows that are other than the log says."""

    dry_run: bool = False
    """Only say what would be changed."""
    reason: str = ""
    """Why, for the log and the audit trail."""


MEND = Wanted()


@app.command
def search(*, asked: Asked = USUAL) -> None:
    """The search index, from the catalogue's products: filled beside the one that serves, which goes when the new one has caught up."""
    told = answer("/catalog/index/rebuild", asked)
    print(f"{told['products']:,} products in {told['seconds']:.1f} s")  # noqa: T201 it is a command


@app.command
def ratings(*, asked: Asked = USUAL) -> None:
    """Products' ratings, from the published reviews, and what readers find helpful, from their votes."""
    told = answer("/reviews/ratings/rebuild", asked)
    print(f"{told['products']:,} products in {told['seconds']:.1f} s; {told['mended']:,} ratings were wrong")  # noqa: T201 it is a command


@app.command
def reports(*, asked: Asked = USUAL) -> None:
    """Sales reports, and what is bought together, from the log of orders: counted beside those that are shown, which change over when the new count is
    complete."""
    told = answer("/analytics/reports/rebuild", asked)
    wrong = "" if told["mended"] is None else f"; {told['mended']:,} figures were wrong"
    print(f"{told['sales']:,} sales in {told['seconds']:.1f} s{wrong}")  # noqa: T201 it is a command


@app.command
def stock(*, wanted: Wanted = MEND, asked: Asked = USUAL) -> None:
    """Shelves, what is for sale, and reservations, from the log of stock: a few products in a transaction, while people order."""
    _mend("/inventory/rebuild", wanted, asked, "products and reservations")


@app.command
def balances(*, wanted: Wanted = MEND, asked: Asked = USUAL) -> None:
    """The ledger's entries, wallets' balances, and what payments have captured and refunded, from the log of money, while people pay."""
    _mend("/payments/rebuild", wanted, asked, "ledger transactions, wallets and payments")


@app.command
def promo_codes(*, wanted: Wanted = MEND, asked: Asked = USUAL) -> None:
    """The uses of promo codes, and their counts, from the log of carts."""
    _mend("/promo-codes/rebuild", wanted, asked, "codes")


@app.command
def order(order_id: str, *, wanted: Wanted = MEND, asked: Asked = USUAL) -> None:
    """The row that the lists show of one order, from the order's log."""
    _mend(f"/admin/orders/{order_id}/rebuild", wanted, asked, "order")


@app.command
def delivery(delivery_id: str, *, wanted: Wanted = MEND, asked: Asked = USUAL) -> None:
    """Where a parcel is, from its log."""
    _mend(f"/deliveries/{delivery_id}/rebuild", wanted, asked, "delivery")


@app.command
def sessions(*, wanted: Wanted = MEND, asked: Asked = USUAL) -> None:
    """Ends the sessions that outlived their users."""
    _mend("/admin/users/sessions/rebuild", wanted, asked, "erased users with sessions")


def _mend(path: str, wanted: Wanted, asked: Asked, what: str) -> None:
    """Ends with status 1 where something is left to people."""
    told: Any = answer(path, asked, {"dry_run": wanted.dry_run, "reason": wanted.reason})
    for said in told["changes"]:
        print(said)  # noqa: T201 it is a command
    for said in told["left"]:
        print(f"left as it is: {said}", file=sys.stderr)  # noqa: T201 it is a command
    unsaid = told["wrong"] - len(told["changes"]) - len(told["left"])
    outcome = "would be changed" if wanted.dry_run else "were changed"
    more = f" ({unsaid:,} more than are told)" if unsaid else ""
    wrong = told["wrong"] - len(told["left"])
    print(f"{told['looked']:,} {what} looked at in {told['seconds']:.1f} s; {wrong:,} {outcome}{more}")  # noqa: T201 it is a command
    if told["left"]:
        sys.exit(1)
