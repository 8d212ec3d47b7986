"""What must stay true of letters, looked at a slice at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from torg.contexts.notification.contracts import NotificationAdded
from torg.kit.auditing import Beginning, Fault, Invariant, Rounds, not_before, since, untold
from torg.kit.messages import Envelope
from torg.kit.sql import Row
from torg.kit.sql.parts import listed
from torg.kit.store import Store

LETTERS, FEEDS = 500, 200  # looked at together
NEWEST: Final = 200  # letters, rows of the log
CONFIRMED: Final = "order.confirmed"


class SqlLetterAudit:
    """Compares feeds, letters and the tries to send them."""

    def __init__(self, store: Store) -> None:
        self._store, self._database = store, store.database
        self._letters = Rounds(self._letter_ids, self._sent_twice, LETTERS, self._newest_letters)
        self._feeds = Rounds(self._feed_owners, self._unwritten, FEEDS, self._newest_feeds)

    def invariants(self) -> tuple[Invariant, ...]:
        letters, feeds = self._letters, self._feeds
        return (
            Invariant("notification.one_letter", "There is one e-mail per order and kind.", letters.check, trace=self._when_sent, come=letters.come),
            Invariant(
                "notification.every_confirmation", "Every confirmed order that is told in a feed has its letter.", feeds.check, trace=self._when_told,
                come=feeds.come,
            ),
        )  # fmt: skip

    # ---------------------------------------------------------------- letters

    async def _letter_ids(self, after: str, limit: int) -> list[str]:
        return _column("id", await self._database.all("select id from mail where id > :after order by id limit :limit", after=after, limit=limit))

    async def _newest_letters(self) -> list[str]:
        return _column("id", await self._database.all("select id from mail order by id desc limit :limit", limit=NEWEST))

    async def _sent_twice(self, ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        names, wanted = listed(ids)
        rows = await self._database.all(
            f"""select m.id, m.kind, m.order_id, count(*) as times from mail_try t join mail m on m.id = t.mail_id
                where t.mail_id in ({names}) and t.outcome = 'sent' group by m.id, m.kind, m.order_id having count(*) > 1""",
            **wanted,
        )
        return {row["id"]: [Fault(sentence=f"letter {row['id']} of {row['kind']} was sent {row['times']} times", about="letter", id=row["id"])] for row in rows}

    async def _when_sent(self, fault: Fault) -> Beginning:
        letter = await self._database.one("select user_id, kind, order_id from mail where id = :id", id=fault.id)
        told = await self._told(letter["user_id"], letter["kind"], letter["order_id"]) if letter else None
        return not_before(told, "the log says what a feed was told, not when letters left: the table mail_try does")

    # ---------------------------------------------------------------- feeds

    async def _feed_owners(self, after: str, limit: int) -> list[str]:
        found, next_one = list[str](), "select min(user_id) from notification where user_id > :after"  # one look into the index, however long a feed is
        while len(found) < limit and (owner := await self._database.value(next_one, after=found[-1] if found else after)):
            found.append(owner)
        return found

    async def _newest_feeds(self) -> list[str]:
        return await self._store.log.lately(NEWEST)

    async def _unwritten(self, user_ids: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        names, wanted = listed(user_ids)
        rows = await self._database.all(
            f"""select n.user_id, n.order_id from notification n where n.user_id in ({names}) and n.kind = '{CONFIRMED}' and not exists (
                   select 1 from mail m where m.user_id = n.user_id and m.subject = n.subject and m.kind = n.kind and m.channel = 'email')""",
            **wanted,
        )
        found: dict[str, list[Fault]] = {}
        for row in rows:
            sentence = f"order {row['order_id']} is confirmed in the feed, but has no letter"
            found.setdefault(row["user_id"], []).append(Fault(sentence=sentence, about="order", id=row["order_id"], key=row["user_id"]))
        return found

    async def _when_told(self, fault: Fault) -> Beginning:
        told = await self._told(fault.key, CONFIRMED, fault.id)
        return since(told) if told else untold("no row of the log says what the feed was told")

    async def _told(self, user_id: str, kind: str, order_id: str) -> Envelope | None:
        rows = await self._store.log.stream(user_id)
        return next((r for r in rows if isinstance(r.message, NotificationAdded) and (r.message.kind, r.message.order_id) == (kind, order_id)), None)


def _column(name: str, rows: Sequence[Row]) -> list[str]:
    return [row[name] for row in rows]
