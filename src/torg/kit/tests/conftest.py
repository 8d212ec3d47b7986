from __future__ import annotations

from torg.kit.testing.kafka import broker

__all__ = ["broker"]
