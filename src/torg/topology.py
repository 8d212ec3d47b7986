"""Topologies: which contexts run in this process. Data only."""

from __future__ import annotations

from typing import Final

CONTEXTS: Final = ("user", "catalog", "cart", "order", "payment", "inventory", "shipping", "notification", "review", "analytics", "admin", "web")
"""Every context, in the order in which they start."""

ALL: Final = CONTEXTS
"""Everything in one process: the default."""
