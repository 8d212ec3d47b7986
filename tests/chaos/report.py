"""A game day as a page: what came of it, what was done to the shop when, and what it did meanwhile. One file, without scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from tests.chaos.figures import BACK_TO, KILLS, Aim, Day, Fault
from tests.chaos.nemesis import SORTS
from torg.kit.failpoints import NAMES

NUMBER, MISSED = ' class="n"', ' class="missed"'
WIDTH, LEFT, RIGHT = 1000, 46, 8
LANE, CHART, AXIS = 18, 170, 22
COLOURS: Final = dict(
    zip(
        SORTS, ("#d64545", "#e0528a", "#e8890c", "#a864c9", "#1c7ed6", "#0c8599", "#c2770a", "#37b24d", "#f06595", "#5c7cfa", "#7a6a3a", "#6c7a89"), strict=True
    )
)
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fbfbfa; --card: #fff; --quiet: #5f6873; --line: #dfe2e6; --good: #1e7e45; --bad: #c62f2f;
  --answers: #1c7ed6; --orders: #2b8a3e }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --paper: #14161a; --card: #1c1f25; --quiet: #9aa3ad; --line: #333943; --good: #51cf7d;
  --bad: #ff7b72; --answers: #74b3f5; --orders: #69c779 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem }
p { margin: .25rem 0 } .quiet { color: var(--quiet) }
.verdict { display: inline-block; font-weight: 600; padding: .15rem .7rem; border-radius: 1rem; color: #fff; background: #1e7e45 }
.verdict.bad { background: #c62f2f }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0 }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; border-left: .3rem solid var(--good) }
.card.bad { border-left-color: var(--bad) } .card b { display: block; font-size: 1.35rem; line-height: 1.3; font-variant-numeric: tabular-nums }
.card span { display: block; font-size: .85rem; color: var(--quiet) }
figure { margin: .5rem 0; background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .75rem; overflow-x: auto }
svg { display: block; width: 100%; min-width: 44rem; height: auto } svg text { fill: var(--quiet); font-size: 11px }
svg .grid { stroke: var(--line); stroke-width: 1 } svg .lane { fill: var(--line); opacity: .35 }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .85rem; color: var(--quiet); margin: .5rem 0 0 }
.key i { display: inline-block; width: .75rem; height: .75rem; border-radius: .2rem; margin-right: .35rem; vertical-align: -.05rem }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .92rem }
td, th { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
th { color: var(--quiet); font-weight: 600 }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } .good { color: var(--good) } .bad { color: var(--bad) }
td:not(.n) { min-width: 11rem }
td i { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem; margin-right: .5rem }
.missed td { opacity: .55 } ul { padding-left: 1.2rem } li { margin: .2rem 0; overflow-wrap: anywhere }
"""


def page(day: Day, machine: str) -> str:
    """The whole page."""
    wrong = f"{len(day.wrong)} things are wrong" if day.wrong else "nothing is wrong"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Game day: {escape(day.topology)} on {escape(day.engines)} engines</title><style>{STYLE}</style></head><body>
<h1>Game day: {escape(day.topology)} on {escape(day.engines)} engines</h1>
<p class="quiet">seed {day.seed} · {escape(machine)} · {_length(day)} min · {day.requests:,} requests · {len(day.struck)} faults</p>
<p><span class="verdict{" bad" if day.wrong else ""}">{wrong}</span></p>
<div class="cards">{"".join(map(_card, day.aims()))}</div>
{_section("What is wrong", _list(day.wrong)) if day.wrong else ""}
{_section("The day", f"<figure>{_chart(day)}</figure>{_key(day)}")}
{_section("Recovery", _scroll(_recovery(day)))}
{_section("Verdict", _scroll(_verdict(day)))}
{_section("Faults, one by one", _scroll(_faults(day)))}
{_section("What the processes hold", _scroll(_held(day))) if day.held else ""}
{_section("What the shop's log called an error", _scroll(_table(("", "times"), day.complaints.most_common(20)))) if day.complaints else ""}
</body></html>
"""


def _length(day: Day) -> str:
    return f"{len(day.seconds) / 60:.1f}"


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{content}"


def _scroll(table: str) -> str:
    return f'<div class="scroll">{table}</div>'


def _list(items: Sequence[str]) -> str:
    return f'<ul class="bad">{"".join(f"<li>{escape(item)}</li>" for item in items[:100])}</ul>'


def _card(aim: Aim) -> str:
    asked = f"aim: {escape(aim.should_be)}{escape(aim.note)}"
    return f'<div class="card{"" if aim.met else " bad"}"><span>{escape(aim.name)}</span><b>{escape(aim.is_)}</b><span>{asked}</span></div>'


# ---------------------------------------------------------------- the chart


class _Scale:
    """Where a second of the day stands, and how high a rate."""

    def __init__(self, day: Day) -> None:
        self.sorts = [sort for sort in SORTS if any(fault.sort == sort for fault in day.faults)]
        self.length = max(len(day.seconds), 1)
        self.top, self.below = AXIS, AXIS + LANE * len(self.sorts) + 12
        self.height = self.below + CHART + AXIS
        self.most = max([1, *map(round, _smooth([second.answered for second in day.seconds]))])

    def x(self, second: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(second, self.length) / self.length

    def y(self, rate: float) -> float:
        return self.below + CHART - CHART * rate / self.most


def _chart(day: Day) -> str:
    scale = _Scale(day)
    step = max(10, round(scale.length / 10 / 10) * 10)
    marks = "".join(f'<text x="{scale.x(at):.0f}" y="{scale.height - 6}">{at // 60}:{at % 60:02}</text>' for at in range(0, scale.length - step // 4, step))
    lanes = "".join(_lane(day, scale, number, sort) for number, sort in enumerate(scale.sorts))
    most = max((second.failed for second in day.seconds), default=0) or 1
    failed = "".join(
        f'<rect x="{scale.x(second.at):.1f}" y="{scale.below + CHART - 40 * second.failed / most:.1f}" width="{max(scale.x(1) - scale.x(0), 1):.1f}" '
        f'height="{40 * second.failed / most:.1f}" fill="var(--bad)"><title>{second.failed} failed in second {second.at}</title></rect>'
        for second in day.seconds if second.failed
    )  # fmt: skip
    usual = scale.y(BACK_TO * day.usual)
    return (
        f'<svg viewBox="0 0 {WIDTH} {scale.height}" role="img" aria-label="faults, answers and orders over time">{lanes}'
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{scale.y(0):.0f}" y2="{scale.y(0):.0f}"/>'
        f'<text x="0" y="{scale.y(scale.most) + 9:.0f}">{scale.most}/s</text><text x="0" y="{scale.y(0):.0f}">0</text>{failed}'
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{usual:.1f}" y2="{usual:.1f}" stroke-dasharray="4 4"/>'
        f"{_line(scale, [second.answered for second in day.seconds], '--answers')}"
        f"{_line(scale, [second.ordered for second in day.seconds], '--orders')}{marks}</svg>"
    )


def _lane(day: Day, scale: _Scale, number: int, sort: str) -> str:
    """A row of the time line: each fault of a sort, pale as long as the shop recovered from it."""
    y = scale.top + LANE * number
    bars = "".join(_bar(fault, scale, y) for fault in day.faults if fault.sort == sort and not fault.missed)
    return (
        f'<rect class="lane" x="{LEFT}" y="{y + 2}" width="{WIDTH - LEFT - RIGHT}" height="{LANE - 4}" rx="3"/>'
        f'<text x="0" y="{y + 13}">{escape(sort)}</text>{bars}'
    )


def _bar(fault: Fault, scale: _Scale, y: int) -> str:
    since, over, until = scale.x(fault.began), scale.x(fault.over), scale.x(fault.over + fault.recovered)
    colour, told = COLOURS[fault.sort], f"{_clock(fault.began)} {fault.what}: recovered after {fault.recovered:.1f} s, {fault.failed} requests failed"
    return (
        f"<g><title>{escape(told)}</title>"
        f'<rect x="{over:.1f}" y="{y + 2}" width="{max(until - over, 1.5):.1f}" height="{LANE - 4}" fill="{colour}" opacity=".45"/>'
        f'<rect x="{since:.1f}" y="{y + 2}" width="{max(over - since, 2.5):.1f}" height="{LANE - 4}" fill="{colour}" rx="1"/></g>'
    )


def _line(scale: _Scale, rates: Sequence[int], colour: str) -> str:
    drawn = " ".join(f"{scale.x(at + 0.5):.1f},{scale.y(rate):.1f}" for at, rate in enumerate(_smooth(rates)))
    return f'<polyline points="{drawn}" fill="none" stroke="var({colour})" stroke-width="1.5" stroke-linejoin="round"/>'


def _smooth(rates: Sequence[int]) -> list[float]:
    """Each second as the mean of three."""
    return [sum(rates[max(at - 1, 0) : at + 2]) / len(rates[max(at - 1, 0) : at + 2]) for at in range(len(rates))]


def _key(day: Day) -> str:
    lines = (("var(--answers)", "good answers a second"), ("var(--orders)", "orders acknowledged a second"), ("var(--bad)", "requests that failed"))
    told = [f'<span><i style="background:{colour}"></i>{text}</span>' for colour, text in lines]
    told += [f'<span><i style="background:{COLOURS[sort]}"></i>{escape(sort)}: {escape(SORTS[sort])}</span>' for sort in SORTS if day.of(sort)]
    told.append(f"<span>dashed: {BACK_TO:.0%} of the answers a second before the first fault; pale: until the shop had recovered</span>")
    return f'<p class="key">{"".join(told)}</p>'


# ---------------------------------------------------------------- tables


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Numbers and what looks like one stand to the right."""
    titles = "".join(f"<th{NUMBER if number else ''}>{escape(title)}</th>" for number, title in enumerate(head))
    body = "".join("<tr>" + "".join(f"<td{NUMBER if number else ''}>{cell}</td>" for number, cell in enumerate(row)) + "</tr>" for row in rows)
    return f"<table><tr>{titles}</tr>{body}</table>"


def _recovery(day: Day) -> str:
    """By sort: how soon all was there again, how soon an order went all the way, and what it cost."""
    rows = []
    for sort in SORTS:
        if faults := day.of(sort):
            recovered, confirmed = sorted(f.recovered for f in faults), sorted(f.confirmed for f in faults)
            share = 100 * sum(f.failed for f in faults) / len(faults) / max(day.requests, 1)
            name = f'<i style="background:{COLOURS[sort]}"></i>{escape(SORTS[sort])}'
            rows.append((name, len(faults), _half(recovered), f"{recovered[-1]:.1f} s", _half(confirmed), f"{confirmed[-1]:.1f} s", f"{share:.3f} %"))
    return _table(("", "times", "recovered, half", "at most", "all the way, half", "at most", "requests failed, each"), rows)


def _half(seconds: Sequence[float]) -> str:
    return f"{seconds[len(seconds) // 2]:.1f} s"


def _verdict(day: Day) -> str:
    reached = {name for name in NAMES if any(f"{name!r}" in fault.what for fault in day.of("failpoint"))}
    rows = [
        ("orders that were acknowledged, and are there as they were promised", day.acknowledged - day.orders["lost"], _mark(not day.orders["lost"])),
        ("orders paid by card, and charged once in the acquirer's books", day.orders["charged"], _mark(not day.orders["charged twice"])),
        ("invariants looked at, twice", day.orders["invariants"], _mark(not any(": " in sentence and "." in sentence.split(":")[0] for sentence in day.wrong))),
        ("backups made, restored and looked into", len(day.backups), _mark(not any("backup" in sentence for sentence in day.wrong))),
        ("releases rolled out with their migrations", day.releases, _mark(not any(sentence.startswith("release") for sentence in day.wrong))),
        ("failpoints at which a process died", f"{len(reached)} of {len(NAMES)}", "–"),
        (
            "seconds until all sagas had ended, once everybody was home",
            f"{day.settled_after:.1f}",
            _mark(not any("saga" in sentence for sentence in day.wrong)),
        ),
        ("processes that hold more than is right", sum("LEAK" in sentence for sentence in day.wrong), _mark(not any("LEAK" in s for s in day.wrong))),
    ]
    ended = ", ".join(f"{count} {name}" for name, count in sorted(day.orders.items()) if name not in _NO_STATUS)
    return _table(("", "", ""), rows) + f'<p class="quiet">Orders at the end: {escape(ended)}.</p>'


_NO_STATUS: Final = ("lost", "invariants", "charged", "charged twice")


def _mark(fine: bool) -> str:
    return '<span class="good">✓</span>' if fine else '<span class="bad">✗</span>'


def _faults(day: Day) -> str:
    head = ("at", "what", "lasted", "ready after", "ordered after", "all the way after", "failed", "of requests")
    titles = "".join(f"<th{NUMBER if number != 1 else ''}>{title}</th>" for number, title in enumerate(head))
    return f"<table><tr>{titles}</tr>{''.join(map(_fault, day.faults))}</table>"


def _fault(fault: Fault) -> str:
    slow = ' class="n bad"' if fault.sort in KILLS and fault.recovered > 5 else ' class="n"'
    times = "".join(f"<td{slow if number < 2 else NUMBER}>{seconds:.1f} s</td>" for number, seconds in enumerate((fault.ready, fault.ordered, fault.confirmed)))
    return (
        f'<tr{MISSED if fault.missed else ""}><td class="n">{_clock(fault.began)}</td>'
        f'<td><i style="background:{COLOURS[fault.sort]}"></i>{escape(fault.what)}</td>'
        f'<td class="n">{max(fault.over - fault.began, 0):.1f} s</td>{times}<td class="n">{fault.failed}</td><td class="n">{fault.requests}</td></tr>'
    )


def _held(day: Day) -> str:
    rows = (
        (escape(name), f"{before.memory:.0f}", f"{after.memory:.0f}", before.files, after.files, before.threads, after.threads)
        for name, (before, after) in day.held.items()
    )
    return _table(("process", "MB at first", "at last", "files open", "at last", "threads", "at last"), rows)


def _clock(second: float) -> str:
    return f"{int(second) // 60}:{int(second) % 60:02}"
