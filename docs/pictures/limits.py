"""Draws limits.svg: what the four algorithms make of the same minute. `PYTHONPATH=src python docs/pictures/limits.py` writes it anew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torg.kit.limits.model import DECIDE, Algorithm, Limit, State

REQUESTS, SECONDS, WAITING = 10, 10.0, 4
UNTIL = 60.0
LEFT, TOP, ROW, SCALE = 150, 56, 74, 12.0  # pixels; pixels a second
HEADLINE = f"{REQUESTS} requests in {SECONDS:.0f} s; a burst of {REQUESTS} (token bucket), {WAITING} may wait (leaky bucket)"
WIDTH, HEIGHT = round(LEFT + UNTIL * SCALE + 24), TOP + 4 * ROW + 84
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .small { font-size: 11px; fill: #59636e } .name { font-weight: 600 }
.asked { stroke: #59636e } .passed { stroke: #1a7f37 } .refused { stroke: #cf222e } .waits { stroke: #9a6700; stroke-width: 1 } .line { stroke: #d1d9e0 }
line { stroke-width: 2 } .window { stroke: #d1d9e0; stroke-width: 1; stroke-dasharray: 2 4 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #9198a1 } .asked { stroke: #9198a1 } .passed { stroke: #3fb950 } .refused { stroke: #f85149 } .waits { stroke: #d29922 }
.line, .window { stroke: #3d444d }
}"""


class Fate(NamedTuple):
    came: float
    passed: bool
    began: float


def traffic() -> list[float]:
    """Now and then; two crowds, one before and one after the end of a window; a rest; a flood; now and then."""
    calm = [0.5, 2.5, 4.5, 6.5]
    crowds = [8.0 + 0.18 * number for number in range(9)] + [10.8 + 0.18 * number for number in range(10)]
    flood = [32.0 + number / 3 for number in range(40)]
    return sorted([*calm, *crowds, 16.0, 18.0, 20.0, *flood, 49.0, 51.0, 53.0, 55.0, 57.0])


def fates(algorithm: Algorithm) -> list[Fate]:
    burst = {Algorithm.TOKEN_BUCKET: REQUESTS, Algorithm.LEAKY_BUCKET: WAITING}.get(algorithm, 0)
    limit = Limit("all", algorithm, REQUESTS, SECONDS, burst)
    state: State | None = None
    told: list[Fate] = []
    for came in traffic():
        state, standing = DECIDE[algorithm](limit, state, came)
        told.append(Fate(came, standing.passed, came + standing.wait))
    return told


def most(told: Sequence[Fate]) -> int:
    """Begun within any ten seconds."""
    begun = [fate.began for fate in told if fate.passed]
    return max(sum(first <= other < first + SECONDS for other in begun) for first in begun)


def x(seconds: float) -> float:
    return round(LEFT + seconds * SCALE, 1)


def tick(kind: str, at: float, top: float, bottom: float) -> str:
    return f'<line class="{kind}" x1="{x(at)}" x2="{x(at)}" y1="{top}" y2="{bottom}"/>'


def row(algorithm: Algorithm, number: int) -> Iterator[str]:
    base, told = TOP + number * ROW + 56, fates(algorithm)
    yield f'<text class="name" x="8" y="{base - 14}">{algorithm.value}</text>'
    yield f'<text class="small" x="8" y="{base + 3}">{sum(fate.passed for fate in told)} of {len(told)} pass</text>'
    yield f'<text class="small" x="8" y="{base + 18}">at most {most(told)} in 10 s</text>'
    yield f'<line class="line" x1="{LEFT}" x2="{x(UNTIL)}" y1="{base}" y2="{base}"/>'
    for fate in told:
        if fate.passed and fate.began > fate.came:
            yield f'<line class="waits" x1="{x(fate.came)}" x2="{x(fate.began)}" y1="{base}" y2="{base - 22}"/>'
        yield tick("passed", fate.began, base - 22, base) if fate.passed else tick("refused", fate.came, base, base + 9)


def picture() -> str:
    base = TOP + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>Four limits of {REQUESTS} requests in {SECONDS:.0f} s under the same traffic</title><style>{STYLE}</style>",
        f'<text class="name" x="8" y="20">{HEADLINE}</text>',
        f'<text class="name" x="8" y="{base - 8}">asked</text><line class="line" x1="{LEFT}" x2="{x(UNTIL)}" y1="{base}" y2="{base}"/>',
        *(tick("asked", came, base - 22, base) for came in traffic()),
    ]
    for number, algorithm in enumerate(Algorithm):
        lines += row(algorithm, number)
    foot = TOP + 4 * ROW + 20
    lines += [tick("window", second, base - 26, foot) for second in range(0, 61, 10)]
    lines += [f'<text class="small" x="{x(second) - 6}" y="{foot + 16}">{second} s</text>' for second in range(0, 61, 10)]
    key = [("passed", "begins"), ("waits", "waits for its turn"), ("refused", "is refused")]
    for number, (kind, said) in enumerate(key):
        at = LEFT + 170 * number
        lines.append(
            f'<line class="{kind}" x1="{at}" x2="{at + 16}" y1="{foot + 36}" y2="{foot + 36}"/><text class="small" x="{at + 24}" y="{foot + 40}">{said}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    Path(__file__).with_suffix(".svg").write_text(picture())
