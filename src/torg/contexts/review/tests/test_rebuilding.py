"""Ratings and votes are counted anew, while people go on."""

from __future__ import annotations

import asyncio

from torg.contexts.review import contracts as c
from torg.contexts.review.handlers import HANDLERS, RECOUNTED
from torg.contexts.review.routes import routes
from torg.contexts.review.tests.house import ANNA, BORIS, MODERATOR, House, person
from torg.kit.auth import Role
from torg.kit.testing.http import Client, edge


async def spoil(house: House, *statements: str) -> None:
    async with house.deps.transaction() as tx:
        for statement in statements:
            await tx.execute(statement)


async def rebuild(house: House) -> tuple[int, int]:
    rebuilt = await house.ask(c.RebuildRatings())
    return rebuilt.products, rebuilt.mended


async def test_wrong_ratings_are_mended_and_told_of_and_right_ones_are_not(house: House) -> None:
    await house.publish("1", 5)
    await house.publish("2", 4)
    await house.publish("3", 3)
    await spoil(house, "update rating set five = 7, one = 2 where product_id = '1'", "delete from rating where product_id = '3'")
    told = len(await house.events())
    assert await rebuild(house) == (3, 2)
    assert await house.miscounted() == []
    assert (await house.events())[told:] == [
        c.RatingChanged(product_id="1", average_hundredths=500, count=1),
        c.RatingChanged(product_id="3", average_hundredths=300, count=1),
    ]
    assert await rebuild(house) == (3, 0)


async def test_a_rating_without_reviews_is_mended(house: House) -> None:
    await house.write("1")
    await spoil(house, "insert into rating (product_id, one, two, three, four, five) values ('ghost', 1, 0, 0, 0, 0)")
    assert await rebuild(house) == (2, 1)
    assert (await house.shown("ghost")).total == 0


async def test_wrong_votes_are_mended(house: House) -> None:
    one, other = await house.publish("1", by=ANNA), await house.publish("2", by=ANNA)
    assert await house.vote(one.id, True) == (1, 0)
    await house.vote(other.id, False)
    await spoil(house, "update review set helpful = 9, score = 9", "update review set unhelpful = 3 where product_id = '2'")
    await rebuild(house)
    assert await house.miscounted() == []
    assert await house.vote(one.id, False) == (0, 1)


async def test_what_is_published_meanwhile_is_counted_once(house: House) -> None:
    count = RECOUNTED + 20
    written = [await house.write(str(number)) for number in range(count)]
    rebuilt, *_ = await asyncio.gather(house.ask(c.RebuildRatings()), *(house.moderate(review.id) for review in written))
    assert rebuilt.products == count
    assert await house.miscounted() == []
    assert [(await house.shown(str(number))).total for number in range(count)] == [1] * count


async def test_only_an_operator_may_ask_for_it(house: House) -> None:
    people = {"boris": BORIS, "moderator": MODERATOR, "admin": person("admin", Role.ADMIN)}
    client = Client(edge(house.deps, HANDLERS, routes(), people))
    answers = [(await client(who, "POST", "/reviews/ratings/rebuild")).status for who in ("", *people)]
    assert answers == [401, 403, 403, 200]
    await client.app.close()
