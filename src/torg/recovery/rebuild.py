"""`torg rebuild`: has a running shop build anew what it derives from its records."""

from __future__ import annotations

from cyclopts import App

from torg.recovery.asking import USUAL, Asked, answer

app = App(name="rebuild", help="Have the running shop build anew what it derives from its records, while it serves.")


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
    """Sales reports, from the log of orders: counted beside those that are shown, which change over when the new count is complete."""
    told = answer("/analytics/reports/rebuild", asked)
    wrong = "" if told["mended"] is None else f"; {told['mended']:,} figures were wrong"
    print(f"{told['sales']:,} sales in {told['seconds']:.1f} s{wrong}")  # noqa: T201 it is a command
