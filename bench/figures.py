"""What was measured: figures with all their runs, shown as tables and kept as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True):
    """One quantity: each run's value, and what unit they have."""

    section: str
    name: str
    unit: str
    runs: tuple[float, ...]
    aim: str = ""

    @property
    def middle(self) -> float:
        return median(self.runs)


@dataclass
class Book:
    """All figures of a run, the disclosure they need to be read with, and what to mind."""

    disclosure: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, section: str, name: str, unit: str, runs: Sequence[float], aim: str = "") -> None:
        self.figures.append(Figure(section, name, unit, tuple(runs), aim))

    def remark(self, sentence: str) -> None:
        if sentence not in self.remarks:
            self.remarks.append(sentence)

    def mind_load(self, what: str, load: float) -> None:
        """Says so when the generator, not the server, may have been the limit."""
        if load > 0.95:
            self.remark(f"{what}: the load generator used {load:.0%} of its core, so the server could have done more")

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        figures = [{**msgspec.to_builtins(figure), "median": figure.middle} for figure in self.figures]
        whole = {"disclosure": self.disclosure, "figures": figures, "remarks": self.remarks}
        file.write_bytes(msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n")

    def show(self, console: Console) -> None:
        facts = Table(title="Measured on", show_header=False)
        for name, text in self.disclosure.items():
            facts.add_row(name, text)
        console.print(facts)
        for section in dict.fromkeys(figure.section for figure in self.figures):
            console.print(self._table(section))
        for sentence in self.remarks:
            console.print(f"! {sentence}", highlight=False, soft_wrap=True)

    def _table(self, section: str) -> Table:
        table = Table(title=section, title_justify="left")
        table.add_column("what", min_width=44)
        for name in ("median", "least", "most"):
            table.add_column(name, justify="right")
        for name in ("unit", "aim"):
            table.add_column(name)
        for figure in self.figures:
            if figure.section == section:
                least, most = (min(figure.runs), max(figure.runs)) if len(figure.runs) > 1 else (None, None)
                table.add_row(figure.name, *(_shown(value) for value in (figure.middle, least, most)), figure.unit, figure.aim)
        return table


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
