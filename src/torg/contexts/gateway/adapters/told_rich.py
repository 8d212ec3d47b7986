"""The declaration as tables for a terminal or a log."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table

from torg.contexts.gateway.model import Declared, Row
from torg.kit.http import Route


def told(declared: Declared, served: Sequence[Route], counted: bool) -> Sequence[Table]:
    """`served`: the routes of all contexts; `counted`: whether the limits hold."""
    tables = [_routes(declared, served), _limits(declared, counted), _rest(declared)]
    more = [(_keeping, declared.kept), (_services, declared.services), (_rewrites, declared.rewrites)]
    return [*tables, *(shown(declared) for shown, rows in more if rows)]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _routes(declared: Declared, served: Sequence[Route]) -> Table:
    table = _table("Paths", "path", "context", "urgency", "limits", "kept for", "answer begins within")
    for path, row in sorted(declared.routes.items()):
        limits = [name for name, rule in declared.limits.items() if rule.on and rule.covers(path)]
        table.add_row(path, row.context or "(gateway)", row.urgency.replace("_", "-"), ", ".join(limits), _kept(path, declared, served), _within(row))
    return table


def _within(row: Row) -> str:
    return f"{row.timeout:g} s" + (f", another asked after {row.hedge:g} s" if row.hedge else "") + (", WebSocket passes" if row.upgrade else "")


def _kept(path: str, declared: Declared, served: Sequence[Route]) -> str:
    """For how long answers below a path are kept, where the table says nothing closer about them."""
    kept = {route.cached for route in served if route.cached and declared.beginning_of(route.path) == path}
    return "" if not kept else f"{min(kept):g} s" if len(kept) == 1 else f"{min(kept):g} to {max(kept):g} s"


def _limits(declared: Declared, counted: bool) -> Table:
    title = "Limits" if counted else "Limits (TORG_LIMITS=false: nothing is counted)"
    table = _table(title, "limit", "of", "algorithm", "at most", "per", "without Redis", "not for")
    for name, rule in declared.limits.items():
        limit = rule.limit(name)
        burst = f", {limit.burst} at once" if limit.burst and limit.burst != limit.requests else ""
        often = f"{rule.requests} in {rule.seconds:g} s{burst}"
        whom = f"person, tier {rule.tier}" if rule.tier else rule.per
        whom += f", {rule.guests} guests an address" if rule.guests > 1 else ""
        of = " ".join([*rule.methods, *rule.paths])
        table.add_row(name if rule.on else f"{name} (off)", of, rule.algorithm, often, whom, rule.away, " ".join(rule.spares))
    return table


def _rest(declared: Declared) -> Table:
    table = _table("Bounds", "what", "at most")
    for name, value in msgspec.structs.asdict(declared.bounds).items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    only, blocked = ", ".join(declared.countries.only), ", ".join(declared.countries.blocked)
    table.add_row("countries", f"only {only}" if only else f"all but {blocked}" if blocked else "all")
    return table


def _services(declared: Declared) -> Table:
    table = _table("Services", "service", "at", "sees cookies, keys and tokens", "WebSocket connections", "silent for", "opened by pages of")
    for name, service in declared.services.items():
        often, quiet = f"{service.connections:,} in a gateway", f"{service.quiet:g} s"
        table.add_row(name, " ".join(service.at), "yes" if service.credentials else "no", often, quiet, " ".join(["the shop", *service.origins]))
    return table


def _keeping(declared: Declared) -> Table:
    table = _table("Kept by gateways of a fleet, where the context agrees", "path", "fresh", "then stale", "then if away", "with cookies")
    for path, keep in sorted(declared.kept.items()):
        shares = "the same answer" if keep.cookies == "ignored" else "asked for themselves"
        table.add_row(path if keep.on else f"{path} (off)", f"{keep.fresh:g} s", f"{keep.stale:g} s", f"{keep.away:g} s", shares)
    return table


def _rewrites(declared: Declared) -> Table:
    table = _table("Rewrites", "rewrite", "of", "becomes", "of the request", "of the answer")
    for name, rewrite in declared.rewrites.items():
        asked = [*(f"+{header}: {value}" for header, value in rewrite.add.items()), *(f"-{header}" for header in rewrite.remove)]
        answered = [*(f"+{header}: {value}" for header, value in rewrite.answer_add.items()), *(f"-{header}" for header in rewrite.answer_remove)]
        answered += [f"only {field}" for field in rewrite.keep] + [f"without {field}" for field in rewrite.drop]
        of = " ".join([*rewrite.hosts, *rewrite.paths])
        table.add_row(name if rewrite.on else f"{name} (off)", of, rewrite.becomes or "itself", ", ".join(asked), ", ".join(answered))
    return table
