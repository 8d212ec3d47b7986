"""A game day as a page: what was done to the shop when, what it did meanwhile, and what was wrong in the end. One file, without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from tests.chaos.game_day import Day, Fault, Sample

WIDTH, HEIGHT, LEFT = 1000, 220, 40
COLOURS = {"kill": "#c0392b", "pause": "#d68910", "rolling restart": "#2471a3", "engine": "#7d3c98", "network": "#148f77"}
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --quiet: #667; --line: #d5d8dc }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #16181c; --quiet: #99a; --line: #3a3f45 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } .fine { color: #1e8449 } .wrong { color: #c0392b }
svg { width: 100%; height: auto } text { fill: var(--quiet); font-size: 11px }
table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line) }
td.number { text-align: right; font-variant-numeric: tabular-nums } pre { white-space: pre-wrap }
"""


def page(day: Day, machine: str) -> str:
    """The whole page."""
    verdict = f'<strong class="wrong">{len(day.wrong)} things are wrong</strong>' if day.wrong else '<strong class="fine">nothing is wrong</strong>'
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Game day, {escape(day.topology)}</title><style>{STYLE}</style></head><body>
<h1>Game day: {escape(day.topology)}, seed {day.seed}</h1>
<p>{escape(machine)}: {verdict}.</p>
<pre>{escape(chr(10).join(day.lines()))}</pre>
<h2>Orders a second, and what went wrong when</h2>
{_chart(day)}
<p>{" · ".join(f'<span style="color:{colour}">■</span> {sort}' for sort, colour in COLOURS.items())} · <span class="wrong">▎</span> failed requests</p>
<h2>Faults</h2>
<table><tr><th>second</th><th>what</th><th>lasted</th><th>ready again after</th></tr>{"".join(_row(fault) for fault in day.faults)}</table>
</body></html>
"""


def _chart(day: Day) -> str:
    length = max((sample.at for sample in day.samples), default=1.0)
    rates = list(_rates(day.samples))
    most = max((orders for _, orders, _ in rates), default=1.0) or 1.0

    def x(second: float) -> float:
        return LEFT + (WIDTH - LEFT) * second / length

    def y(rate: float) -> float:
        return HEIGHT - 20 - (HEIGHT - 40) * rate / most

    bands = "".join(
        f'<rect x="{x(fault.began):.1f}" y="10" width="{max(x(fault.ended) - x(fault.began), 2):.1f}" height="{HEIGHT - 30}" '
        f'fill="{COLOURS[fault.sort]}" opacity=".25"><title>{escape(fault.what)}</title></rect>'
        for fault in day.faults
    )
    failures = "".join(
        f'<rect x="{x(at):.1f}" y="{HEIGHT - 20 - min(failed, 40):.1f}" width="2" height="{min(failed, 40):.1f}" fill="#c0392b"/>'
        for at, _, failed in rates if failed
    )  # fmt: skip
    line = " ".join(f"{x(at):.1f},{y(orders):.1f}" for at, orders, _ in rates)
    marks = "".join(f'<text x="{x(second):.0f}" y="{HEIGHT - 5}">{second} s</text>' for second in range(0, int(length) + 1, max(int(length) // 10, 1)))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="orders a second over time">{bands}{failures}'
        f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/><text x="0" y="{y(most) + 4:.0f}">{most:.0f}/s</text>{marks}</svg>'
    )


def _rates(samples: Sequence[Sample]) -> Iterator[tuple[float, float, int]]:
    """(second, orders a second, failed requests) between samples."""
    for before, after in pairwise(samples[::2]):
        yield after.at, (after.orders - before.orders) / max(after.at - before.at, 0.01), after.failed - before.failed


def _row(fault: Fault) -> str:
    return (
        f'<tr><td class="number">{fault.began:.1f}</td><td style="color:{COLOURS[fault.sort]}">{escape(fault.what)}</td>'
        f'<td class="number">{fault.ended - fault.began:.1f} s</td><td class="number">{fault.recovered:.2f} s</td></tr>'
    )
