"""Opening the index of a data folder, whatever state the folder is in."""

from __future__ import annotations

import shutil
from pathlib import Path

from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.kit.telemetry import log


def open_index(folder: Path) -> TantivyProductIndex:
    """The index of this folder; begun anew where it can't be read, for the feed fills it from the store."""
    try:
        return TantivyProductIndex.opened(folder)
    except Exception as error:  # noqa: BLE001 whatever is wrong with the files (tantivy raises ValueError, msgspec its own), the store has all that was in them
        log.warning("the search index cannot be read; it is built anew", folder=str(folder), exc_info=error)
        shutil.rmtree(folder)
        return TantivyProductIndex.opened(folder)
