"""`torg shards`: which users' orders go to which database, when TORG_ORDER_DB names several."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from itertools import groupby
from pathlib import Path

from cyclopts import App

from torg.kit import settings as settings_
from torg.kit import values
from torg.kit.errors import Unavailable
from torg.kit.log import Log
from torg.kit.messages import Registry
from torg.kit.shards import SLOTS, ShardMap
from torg.kit.sql.committer import Committer
from torg.kit.sql.opening import open_database, shards_of
from torg.kit.store import Store

CONTEXT = "order"

app = App(name="shards", help="Look at, and change, which users' orders go to which of the databases that TORG_ORDER_DB names.")


@app.command
def show() -> None:
    """The map: slots of users by database, and users with a place of their own."""

    async def work(shards: ShardMap) -> list[str]:
        slots, users = await shards.read()
        ranges = [(placed, [slot for slot, _ in part]) for placed, part in groupby(enumerate(slots), key=lambda numbered: numbered[1])]
        named = [(f"slots {part[0]}-{part[-1]}", placed) for placed, part in ranges] + [
            (f"user {user_id}", placed) for user_id, placed in sorted(users.items())
        ]
        return [
            f"{name}: shard {placed.shard}{', moving' if placed.moving else ''}{f', before: {placed.former}' if placed.former else ''}"
            for name, placed in named
        ]

    _with_map(work)


@app.command
def move(*, to: int, user: str = "", slots: str = "") -> None:
    """Have what is new of a user, or of all users of some slots, go to another database. What they have stays where it is and is found there.

    Parameters
    ----------
    to
        The database's number, from 0, as TORG_ORDER_DB lists them.
    user
        A user's id.
    slots
        The first and last slot of 0 to 1023: 512-1023.
    """
    if bool(user) == bool(slots):
        sys.exit("torg: say whom to move: --user ID, or --slots FIRST-LAST")
    first, _, last = slots.partition("-")
    if slots and not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < SLOTS):
        sys.exit(f"torg: --slots takes the first and last of 0 to {SLOTS - 1}, like 512-1023, not {slots!r}")

    async def work(shards: ShardMap) -> list[str]:
        await shards.move(user or range(int(first), int(last) + 1), to)
        return [f"new orders of {f'user {user}' if user else f'slots {slots}'} go to shard {to} now"]

    _with_map(work)


def _with_map(work: Callable[[ShardMap], Awaitable[list[str]]]) -> None:
    async def connected() -> list[str]:
        settings = settings_.load(os.environ)
        if (count := shards_of(settings, CONTEXT)) < 2:
            raise settings_.BadSettings("TORG_ORDER_DB names one database at most: there is nothing to tell apart")
        database = await open_database(settings, CONTEXT, Path(settings.data) / CONTEXT, Committer())
        try:
            return await work(ShardMap(Store(CONTEXT, database, Log(CONTEXT, database, Registry(())), values.utc_now), count))
        finally:
            await database.close()

    try:
        for line in asyncio.run(connected()):
            print(line)  # noqa: T201 it is a command
    except (settings_.BadSettings, Unavailable, ValueError) as error:
        sys.exit(f"torg: {error}")
