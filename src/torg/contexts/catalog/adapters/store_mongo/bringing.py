"""Brings waiting documents to MongoDB. Doing so again does no harm, and neither does doing it late: a document never takes the place of one with a later
revision. So any process may do it at any time, and one that crashed in between is repaired by the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from pymongo import InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from torg.contexts.catalog.adapters.store_mongo.collections import CATEGORIES, PRODUCTS, Shape
from torg.contexts.catalog.adapters.store_mongo.connection import Connection, Document
from torg.contexts.catalog.adapters.store_mongo.waiting import KINDS, Kind, Waiter, Waiting
from torg.kit.errors import Unavailable
from torg.kit.tasks import Bell
from torg.kit.telemetry import log

Operation = InsertOne[Document] | ReplaceOne[Document] | UpdateOne
AT_ONCE: Final = 500
LOOK_EVERY: Final = 1.0  # seconds, for what another process left behind
TAKEN: Final = 11000  # the server's code for a key that is there already
SHAPE_OF: Final[dict[Kind, Shape]] = {"product": PRODUCTS, "category": CATEGORIES}
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Refused(Exception):
    """MongoDB does not take a document that is committed here: its rules and ours differ, which is a defect."""


class Bringing:
    """One process's part in it; `bell` rings after a commit that made something wait."""

    def __init__(self, waiting: Waiting, connection: Connection) -> None:
        self._waiting, self._connection = waiting, connection
        self._turn = asyncio.Lock()
        self.bell = Bell()

    async def run(self) -> None:
        """Until cancelled. While MongoDB is away, documents go on waiting."""
        away = False
        while True:
            try:
                await self.bring()
                away = False
            except Unavailable as reason:
                if not away:
                    log.warning("documents wait for MongoDB", reason=reason.detail)
                away = True
            await self.bell.wait(LOOK_EVERY)

    async def bring(self) -> None:
        """Returns when all that was committed before is in MongoDB. Raises Unavailable or Refused."""
        for kind in KINDS:
            until = await self._waiting.newest(kind)
            if not until:
                continue
            async with self._turn:
                while waiters := await self._waiting.oldest(kind, until, AT_ONCE):
                    with self._connection.asking():
                        await self._write(self._connection.collection(SHAPE_OF[kind]), waiters)
                    await self._waiting.forget(kind, waiters)

    async def _write(self, collection: AsyncCollection[Document], waiters: Sequence[Waiter]) -> None:
        taken = await _written(collection, [_operation(waiter) for waiter in waiters])
        replacements = [_replacement(waiters[place]) for place in taken if waiters[place].document]
        if replacements:
            await _written(collection, replacements)


async def _written(collection: AsyncCollection[Document], operations: Sequence[Operation]) -> list[int]:
    """The places of those whose id is taken already. Raises Refused."""
    try:
        await collection.bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        faults = error.details["writeErrors"]
        for fault in faults:
            if fault["code"] != TAKEN:
                raise Refused(f"MongoDB does not take {fault['op']}: {fault['errmsg']}") from error
        if error.details["writeConcernErrors"]:
            raise Unavailable("MongoDB has not got the documents to a majority of its servers in time") from error
        return [fault["index"] for fault in faults]
    return []


def _operation(waiter: Waiter) -> Operation:
    """Nearly all first versions are new, and inserting is the cheapest; nearly all others are there, in an older version."""
    if not waiter.document:
        return UpdateOne({"_id": waiter.id, "revision": {"$lt": waiter.revision}}, {"$set": {"revision": waiter.revision}})
    document = document_of(waiter)
    if document.get("version") == 1:
        return InsertOne(document)
    return ReplaceOne({"_id": waiter.id, "revision": {"$lt": waiter.revision}}, document, upsert=True)


def _replacement(waiter: Waiter) -> ReplaceOne[Document]:
    return ReplaceOne({"_id": waiter.id, "revision": {"$lt": waiter.revision}}, document_of(waiter))


def document_of(waiter: Waiter) -> Document:
    """As MongoDB keeps it."""
    document = _decode(waiter.document)
    del document["id"]
    return {"_id": waiter.id, **document, "revision": waiter.revision}
