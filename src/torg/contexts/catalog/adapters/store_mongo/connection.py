"""The connection to MongoDB: its deadlines, what its failures are called here, and what is made ready before the first question."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import pymongo
from pymongo import ASCENDING, AsyncMongoClient, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError

from torg.contexts.catalog.adapters.store_mongo.collections import OWNERS, SHAPES, Shape
from torg.kit.errors import Unavailable
from torg.kit.settings import BadSettings
from torg.kit.telemetry import log

Document = dict[str, Any]

ANSWER_MS: Final = 5000
"""Milliseconds that an operation may take with all its tries, where the URL has no timeoutMS."""
CHECK_SECONDS: Final = 1
CONNECTIONS: Final = 32
BASE: Final = "torg"
EXISTS, REFUSED, NOT_MADE = 48, (13, 18), (59, 115, 238)
"""The server's codes: there is such a collection; who asks may not; a server that speaks the protocol without this part of it."""


class Connection:
    """A pool of connections. What is acknowledged is on the disks of a majority; the driver itself repeats what a lost connection interrupted, once."""

    def __init__(self, url: str) -> None:
        self.where = urlsplit(url).netloc.rpartition("@")[2]
        options: dict[str, Any] = {"appname": "torg catalog", "maxPoolSize": CONNECTIONS, "w": "majority", "journal": True}
        if "timeoutms=" not in url.lower():
            options["timeoutMS"] = ANSWER_MS
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(url, **options)
        self._base = self._client.get_default_database(BASE)

    def collection(self, shape: Shape) -> AsyncCollection[Document]:
        return self._base[shape.name]

    async def prepare(self, owner: str) -> None:
        """Makes collections, indexes and rules what they should be. Raises BadSettings where somebody else's documents are."""
        with self.asking():
            for shape in SHAPES:
                await self._shape(shape)
                if shape.indexes:
                    keys = [IndexModel([(field, ASCENDING) for field in index.fields], name=index.name) for index in shape.indexes]
                    await self._base[shape.name].create_indexes(keys)
            with suppress(DuplicateKeyError):  # it has an owner, whom we read
                await self._base[OWNERS].insert_one({"_id": "catalog", "owner": owner})
            kept = await self._base[OWNERS].find_one({"_id": "catalog"})
        if kept is None or kept["owner"] != owner:
            raise BadSettings(f"TORG_DOCUMENTS: {self.where}/{self._base.name} has the documents of another shop; name a database of its own")

    async def check(self) -> str:
        """An empty text, or why MongoDB doesn't answer."""
        try:
            with self.asking(), pymongo.timeout(CHECK_SECONDS):
                await self._client.admin.command("ping")
        except Unavailable as away:
            return away.detail
        return ""

    async def close(self) -> None:
        await self._client.close()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Raises Unavailable for what is the connection's or the server's fault, not the question's."""
        try:
            yield
        except PyMongoError as error:
            if isinstance(error, ConnectionFailure) or error.timeout:
                raise Unavailable(f"MongoDB at {self.where} does not answer: {_short(error)}") from error
            if isinstance(error, OperationFailure) and error.code in REFUSED:
                raise Unavailable(f"MongoDB at {self.where} refuses us: {_short(error)}") from error
            raise

    async def _shape(self, shape: Shape) -> None:
        try:
            await self._base.create_collection(shape.name, validator=shape.validator, check_exists=False)
        except OperationFailure as error:
            if error.code == EXISTS:
                await self._base.command("collMod", shape.name, validator=shape.validator)
            elif error.code in NOT_MADE:
                log.warning("this MongoDB does not hold documents to a shape", collection=shape.name, reason=_short(error))
            else:
                raise


def _short(error: PyMongoError) -> str:
    """Without the driver's description of all servers it knows."""
    return str(error).partition(", Topology Description")[0].partition(", full error")[0]
