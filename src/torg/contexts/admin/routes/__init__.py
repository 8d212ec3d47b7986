"""The staff over HTTP: the API and the pages."""

from __future__ import annotations

from torg.contexts.admin.routes.api import api
from torg.contexts.admin.routes.pages import pages

__all__ = ["api", "pages"]
