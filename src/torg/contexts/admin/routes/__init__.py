"""Operators' views over HTTP: the API."""

from __future__ import annotations

from torg.contexts.admin.routes.api import api

__all__ = ["api"]
