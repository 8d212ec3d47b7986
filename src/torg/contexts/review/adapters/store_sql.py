"""Reviews over SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from torg.contexts.review.contracts import Distribution, Reply, Status
from torg.contexts.review.model import Review, counted
from torg.contexts.review.ports import Sort
from torg.kit.errors import ConcurrentChange
from torg.kit.messages import encode
from torg.kit.pages import Page, after_number, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import listed
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp

STARS = ("one", "two", "three", "four", "five")
_REVIEW = "select r.*, a.shown from review r left join author a on a.user_id = r.user_id"
_ADD_STARS = f"""insert into rating (product_id, {", ".join(STARS)}) values (:product_id, {", ".join(f":{star}" for star in STARS)})
    on conflict (product_id) do update set {", ".join(f"{star} = rating.{star} + excluded.{star}" for star in STARS)} returning *"""
_SET_STARS = f"""insert into rating (product_id, {", ".join(STARS)}) values (:product_id, {", ".join(f":{star}" for star in STARS)})
    on conflict (product_id) do update set {", ".join(f"{star} = excluded.{star}" for star in STARS)}"""
_COUNTS = ", ".join(
    f"cast(sum(case when status = 'published' and rating = {n} then 1 else 0 end) as bigint) as counted_{star}" for n, star in enumerate(STARS, 1)
)
_COUNTED_STARS = f"select product_id, {_COUNTS} from review {{of}} group by product_id"
_COUNTED_VOTES = """select r.id, r.product_id, r.helpful, r.unhelpful, r.score,
        cast(coalesce(sum(v.helpful), 0) as bigint) as counted_helpful, cast(coalesce(sum(1 - v.helpful), 0) as bigint) as counted_unhelpful
    from review r left join vote v on v.review_id = r.id {of} group by r.id, r.product_id, r.helpful, r.unhelpful, r.score"""
_RATED = """select product_id from review where product_id > :after union select product_id from rating where product_id > :after
    order by product_id limit :limit"""
_OF_THESE = "where product_id > :after and product_id <= :last"


class SqlReviewStore:
    """Implements ReviewStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ------------------------------------------------------------ people

    async def note_delivery(self, tx: Transaction, user_id: str, product_ids: Sequence[str], at: datetime) -> None:
        await tx.execute_many(
            "insert into delivered (user_id, product_id, at) values (:user_id, :product_id, :at) on conflict do nothing",
            [{"user_id": user_id, "product_id": product_id, "at": stamp(at)} for product_id in product_ids],
        )

    async def received(self, user_id: str, product_id: str) -> bool:
        found = "select 1 from delivered where user_id = :user_id and product_id = :product_id"
        return await self._database.value(found, user_id=user_id, product_id=product_id) is not None

    async def name_author(self, tx: Transaction, user_id: str, shown: str) -> None:
        await tx.execute(
            "insert into author (user_id, shown) values (:user_id, :shown) on conflict (user_id) do update set shown = excluded.shown",
            user_id=user_id, shown=shown,
        )  # fmt: skip

    async def forget_person(self, tx: Transaction, user_id: str) -> None:
        await self.name_author(tx, user_id, "")
        await tx.execute("delete from delivered where user_id = :user_id", user_id=user_id)

    # ------------------------------------------------------------ changes

    async def add(self, tx: Transaction, review: Review) -> bool:
        added = await tx.execute(
            """insert into review (id, product_id, user_id, rating, title, text, status, reason, helpful, unhelpful, score, created_at)
               values (:id, :product_id, :user_id, :rating, :title, :text, :status, '', 0, 0, 0, :at) on conflict do nothing""",
            id=review.id, product_id=review.product_id, user_id=review.user_id, rating=review.rating, title=review.title, text=review.text,
            status=review.status, at=stamp(review.created_at),
        )  # fmt: skip
        return added > 0

    async def settle(self, tx: Transaction, review: Review, before: Status) -> Distribution | None:
        settled = await tx.execute(
            "update review set status = :status, reason = :reason where id = :id and status = :before",
            id=review.id, status=review.status, reason=review.reason, before=before,
        )  # fmt: skip
        if not settled:
            raise ConcurrentChange("review.changed", "somebody else has just decided on this review: look at it again")
        more = counted(before, review.status)
        if not more:
            return None
        added = {star: more if number == review.rating else 0 for number, star in enumerate(STARS, 1)}
        row = await tx.one(_ADD_STARS, product_id=review.product_id, **added)
        assert row is not None, "an upsert that returns gives its row"
        return _distribution(row)

    async def vote(self, tx: Transaction, review_id: str, user_id: str, helpful: bool) -> None:
        named = {"review_id": review_id, "user_id": user_id, "helpful": int(helpful)}
        new = await tx.execute("insert into vote (review_id, user_id, helpful) values (:review_id, :user_id, :helpful) on conflict do nothing", **named)
        turned = not new and await tx.execute(
            "update vote set helpful = :helpful where review_id = :review_id and user_id = :user_id and helpful <> :helpful", **named
        )
        if not new and not turned:
            return
        sign = 1 if helpful else -1
        up = sign if turned else int(helpful)
        down = -sign if turned else int(not helpful)
        await tx.execute(
            "update review set helpful = helpful + :up, unhelpful = unhelpful + :down, score = score + :by where id = :id",
            id=review_id, up=up, down=down, by=up - down,
        )  # fmt: skip

    async def reply(self, tx: Transaction, review_id: str, reply: Reply) -> None:
        await tx.execute("update review set reply = :reply where id = :id", id=review_id, reply=encode(reply).decode())

    async def recount(self, tx: Transaction, after: str, last: str) -> Mapping[str, Distribution]:
        these = {"after": after, "last": last}
        wrong_votes = [row for row in await tx.all(_COUNTED_VOTES.format(of=_OF_THESE), **these) if _is_miscounted(row)]
        await tx.execute_many(
            "update review set helpful = :up, unhelpful = :down, score = :score where id = :id",
            [
                {"id": row["id"], "up": row["counted_helpful"], "down": row["counted_unhelpful"], "score": row["counted_helpful"] - row["counted_unhelpful"]}
                for row in wrong_votes
            ],
        )
        kept = {row["product_id"]: _distribution(row) for row in await tx.all(f"select * from rating {_OF_THESE}", **these)}
        true = {row["product_id"]: _counted(row) for row in await tx.all(_COUNTED_STARS.format(of=_OF_THESE), **these)}
        nothing = Distribution()
        wrong = {id: true.get(id, nothing) for id in sorted(kept.keys() | true.keys()) if kept.get(id, nothing) != true.get(id, nothing)}
        await tx.execute_many(_SET_STARS, [{"product_id": id, **msgspec.structs.asdict(stars)} for id, stars in wrong.items()])
        return wrong

    # ------------------------------------------------------------ reading

    async def rated(self, after: str, limit: int) -> Sequence[str]:
        rows = await self._database.all(_RATED, after=after, limit=limit)
        return [row["product_id"] for row in rows]

    async def find(self, review_id: str, tx: Transaction | None = None) -> Review | None:
        row = await (tx or self._database).one(f"{_REVIEW} where r.id = :id", id=review_id)
        return _review(row) if row else None

    async def find_own(self, product_id: str, user_id: str) -> Review | None:
        row = await self._database.one(f"{_REVIEW} where r.product_id = :product_id and r.user_id = :user_id", product_id=product_id, user_id=user_id)
        return _review(row) if row else None

    async def stars(self, product_id: str) -> Distribution:
        row = await self._database.one("select * from rating where product_id = :product_id", product_id=product_id)
        return _distribution(row) if row else Distribution()

    async def published(self, product_id: str, sort: Sort, cursor: str, limit: int) -> Page[Review]:
        where = "r.product_id = :product_id and r.status = 'published'"
        if sort == "helpful":
            return await self._page(where, "score", True, cursor, limit, product_id=product_id)
        return await self._page(where, "created_at", True, cursor, limit, product_id=product_id)

    async def with_status(self, status: Status, cursor: str, limit: int) -> Page[Review]:
        return await self._page("r.status = :status", "created_at", False, cursor, limit, status=status)

    async def written_by(self, user_id: str, cursor: str, limit: int) -> Page[Review]:
        return await self._page("r.user_id = :user_id", "created_at", True, cursor, limit, user_id=user_id)

    async def counted(self, product_id: str) -> Distribution:
        row = await self._database.one(_COUNTED_STARS.format(of="where product_id = :product_id"), product_id=product_id)
        return _counted(row) if row else Distribution()

    async def miscounted(self, product_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
        names, these = listed(product_ids)
        of, found = f"where product_id in ({names})", dict[str, list[str]]()
        kept = {row["product_id"]: row for row in await self._database.all(f"select * from rating {of}", **these)}
        true = {row["product_id"]: row for row in await self._database.all(_COUNTED_STARS.format(of=of), **these)}
        for product_id in sorted(kept.keys() | true.keys()):
            for number, star in enumerate(STARS, 1):
                says = kept[product_id][star] if product_id in kept else 0
                makes = true[product_id][f"counted_{star}"] if product_id in true else 0
                if says != makes:
                    found.setdefault(product_id, []).append(f"product {product_id} has {says} ratings of {number}, its reviews make {makes}")
        for row in await self._database.all(_COUNTED_VOTES.format(of=of), **these):
            if _is_miscounted(row):
                counts, votes = (row["helpful"], row["unhelpful"]), (row["counted_helpful"], row["counted_unhelpful"])
                said = f"review {row['id']} counts {counts} votes and {row['score']} in all, there are {votes}"
                found.setdefault(row["product_id"], []).append(said)
        return found

    async def _page(self, where: str, key: str, descending: bool, cursor: str, limit: int, **parameters: Any) -> Page[Review]:
        """Reviews by `key`, then id; a cursor is the last one's key and id."""
        direction, beyond = ("desc", "<") if descending else ("asc", ">")
        if cursor:
            where += f" and (r.{key}, r.id) {beyond} (:after, :after_id)"
            parameters["after"], parameters["after_id"] = after_number(cursor) if key == "score" else after_time(cursor)
        rows = await self._database.all(f"{_REVIEW} where {where} order by r.{key} {direction}, r.id {direction} limit :limit", limit=limit + 1, **parameters)
        return cut(rows, limit, _review, key, "id")


def _review(row: Row) -> Review:
    return Review(
        id=row["id"], product_id=row["product_id"], user_id=row["user_id"], rating=row["rating"], title=row["title"], text=row["text"],
        created_at=moment(row["created_at"]), status=row["status"], reason=row["reason"], helpful=row["helpful"], unhelpful=row["unhelpful"],
        reply=msgspec.json.decode(row["reply"], type=Reply) if row["reply"] else None, author=row["shown"],
    )  # fmt: skip


def _is_miscounted(row: Row) -> bool:
    counts, votes = (row["helpful"], row["unhelpful"]), (row["counted_helpful"], row["counted_unhelpful"])
    return bool(counts != votes or row["score"] != counts[0] - counts[1])


def _counted(row: Row) -> Distribution:
    return Distribution(**{star: row[f"counted_{star}"] for star in STARS})


def _distribution(row: Row) -> Distribution:
    return Distribution(**{star: row[star] for star in STARS})
