"""Opens the index that the settings name."""

from __future__ import annotations

import shutil
from pathlib import Path

from torg.contexts.catalog.adapters.index_tantivy import TantivyProductIndex
from torg.contexts.catalog.ports import ProductIndex
from torg.kit.settings import BadSettings
from torg.kit.telemetry import log


def open_index(url: str, folder: Path, process: str) -> ProductIndex:
    """Elasticsearch where TORG_INDEX names one, else tantivy in this folder. `process` tells this one apart from all others. Raises BadSettings."""
    if not url:
        return open_tantivy(folder)
    from torg.contexts.catalog.adapters.index_elastic import Address, BadAddress, ElasticProductIndex  # the client is loaded where it is used

    try:
        return ElasticProductIndex(Address.read(url), process)
    except BadAddress as bad:
        raise BadSettings(f"TORG_INDEX: {bad}, and nothing at all (tantivy in the data folder)") from bad


def open_tantivy(folder: Path) -> TantivyProductIndex:
    """The index of this folder; begun anew where it can't be read, for the feed fills it from the store."""
    try:
        return TantivyProductIndex.opened(folder)
    except Exception as error:  # noqa: BLE001 whatever is wrong with the files (tantivy raises ValueError, msgspec its own), the store has all that was in them
        log.warning("the search index cannot be read; it is built anew", folder=str(folder), exc_info=error)
        shutil.rmtree(folder)
        return TantivyProductIndex.opened(folder)
