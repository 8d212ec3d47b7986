"""All that servers keep, as text: what is packed in their files is read by their own clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import redis.asyncio as redis
from confluent_kafka import Consumer, KafkaError, TopicPartition
from pymongo import AsyncMongoClient

LARGEST = 10_000  # documents of an index, which a search gives at once


async def rows(url: str) -> AsyncIterator[str]:
    """Of each table of a PostgreSQL."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set bytea_output = 'escape'")
        for schema, table in await connection.fetch(
            "select table_schema, table_name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')"
        ):
            for row in await connection.fetch(f'select t::text from "{schema}"."{table}" t'):
                yield row[0]
    finally:
        await connection.close()


async def records(url: str) -> AsyncIterator[str]:
    """Of each topic of a Kafka, keys and headers too."""
    consumer = Consumer({"bootstrap.servers": urlsplit(url).netloc, "group.id": "whoever-looks", "enable.auto.commit": False, "enable.partition.eof": True})
    try:
        topics = consumer.list_topics(timeout=20).topics
        places = [TopicPartition(name, number, 0) for name, topic in topics.items() for number in topic.partitions]
        consumer.assign(places)
        ended = set[tuple[str, int]]()
        while len(ended) < len(places):
            record = consumer.poll(20)
            assert record is not None, "the brokers say no more"
            if (error := record.error()) is not None:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ended.add((record.topic() or "", record.partition() or 0))
            else:
                yield f"{_text(record.key())} {record.headers()} {_text(record.value())}"
    finally:
        consumer.close()


async def values(url: str) -> AsyncIterator[str]:
    """Of each key of a Redis, its name too."""
    async with redis.from_url(url) as client:
        read: Mapping[bytes | str, Callable[[bytes], Any]] = {
            b"string": client.get, b"hash": client.hgetall, b"set": client.smembers, b"list": lambda key: client.lrange(key, 0, -1),
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True), b"stream": client.xrange,
        }  # fmt: skip
        async for key in client.scan_iter(count=1000):
            kind = await client.type(key)
            if kind != b"none":  # it has gone meanwhile
                yield f"{_text(key)} {await read[kind](key)!r}"


async def documents(url: str) -> AsyncIterator[str]:
    """Of each collection of a MongoDB."""
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        for base in await client.list_database_names():
            for name in await client[base].list_collection_names():
                async for document in client[base][name].find():
                    yield repr(document)


async def sources(url: str) -> AsyncIterator[str]:
    """Of each index of an Elasticsearch."""
    async with aiohttp.ClientSession(f"http://{urlsplit(url).netloc}") as client:
        async with client.get("/_cat/indices?format=json&expand_wildcards=all") as reply:
            names = [index["index"] for index in await reply.json()]
        for name in names:
            async with client.post(f"/{name}/_search", json={"size": LARGEST, "track_total_hits": True}) as reply:
                found = (await reply.json())["hits"]
            assert found["total"]["value"] <= LARGEST, f"{name} has more than one look takes"
            for hit in found["hits"]:
                yield repr(hit)


async def facts(url: str) -> AsyncIterator[str]:
    """Of each table of a ClickHouse."""
    parts = urlsplit(url)
    headers = {"authorization": aiohttp.encode_basic_auth(parts.username, parts.password or "")} if parts.username else {}
    async with aiohttp.ClientSession(f"http://{parts.hostname}:{parts.port}", headers=headers) as client:

        async def lines(statement: str) -> list[str]:
            async with client.post("/", data=statement.encode()) as reply:
                told = await reply.text()
                assert reply.status == 200, told
                return told.splitlines()

        tables = await lines("select database || '.' || name from system.tables where lower(database) not in ('system', 'information_schema')")
        for table in tables:
            for line in await lines(f"select * from {table} format JSONEachRow"):
                yield line


READ: Mapping[str, Callable[[str], AsyncIterator[str]]] = {
    "db": rows, "bus": records, "redis": values, "documents": documents, "index": sources, "facts": facts,
}  # fmt: skip
"""By the setting that names the server."""


def _text(raw: bytes | str | None) -> str:
    return raw.decode("latin-1") if isinstance(raw, bytes) else raw or ""
