"""Streams of products for a rebuild."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from torg.contexts.catalog.ports import ProductDocument

BREATHE_EVERY = 8  # products: then the event loop gets its turn
Documents = Iterable[ProductDocument] | AsyncIterable[ProductDocument]


async def one_by_one(documents: Documents) -> AsyncIterator[ProductDocument]:
    if isinstance(documents, AsyncIterable):
        async for document in documents:
            yield document
    else:
        for at, document in enumerate(documents):
            if at % BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            yield document
