"""What must stay true of promo codes. The uses of a code are counted anew at each look while there are few; those of a code with many are walked through, a
slice at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from torg.contexts.cart.contracts import PromoCodeCreated, PromoCodeGivenBack, PromoCodeRedeemed
from torg.kit.auditing import Beginning, Fault, Invariant, Rounds, not_before, since, untold
from torg.kit.messages import Envelope
from torg.kit.sql import Row
from torg.kit.sql.parts import listed
from torg.kit.store import Store

CODES: Final = 20  # looked at together
NEWEST: Final = 100  # rows of the log
MANY: Final = 500  # uses of a code, from which on they are walked through
STEP: Final = 2000  # uses
TRACED: Final = 20_000  # rows of a code's stream
PROMO: Final = "promo/"

_COUNTS = """select p.code, p.used, p.uses_total, count(r.order_id) as counted
    from promo_code p left join promo_redemption r on r.code = p.code and r.state <> 'returned'
    where p.code in ({codes}) group by p.code, p.used, p.uses_total"""
_OVERUSED = """select p.code, p.uses_per_person, r.user_id, count(*) as counted
    from promo_code p join promo_redemption r on r.code = p.code and r.state <> 'returned' where p.uses_per_person is not null and p.code in ({codes})
    group by p.code, p.uses_per_person, r.user_id having count(*) > p.uses_per_person"""
_NEXT = """select user_id, order_id, state from promo_redemption where code = :code and (user_id, order_id) > (:user_id, :order_id)
    order by user_id, order_id limit :limit"""


class SqlPromoAudit:
    """Compares the count of each code with its uses."""

    def __init__(self, store: Store) -> None:
        self._store, self._database = store, store.database
        self._rounds = Rounds(self._codes, self._look, CODES, self._newest)
        self._walk, self._to_walk, self._to_count = _Walk(), list[str](), list[str]()

    def invariants(self) -> tuple[Invariant, ...]:
        sentence = "A promo code is used as often as its orders say, and no more than it may be."
        return (Invariant("cart.promo_codes", sentence, self._check, "rebuild_promo_codes", self._since_when, self._rounds.come),)

    async def _check(self) -> list[Fault]:
        await self._walk_on()
        return await self._rounds.check()

    async def _codes(self, after: str, limit: int) -> list[str]:
        rows = await self._database.all("select code from promo_code where code > :after order by code limit :limit", after=after, limit=limit)
        return [row["code"] for row in rows]

    async def _newest(self) -> list[str]:
        suspects, self._to_count = self._to_count, []
        return suspects + [stream.removeprefix(PROMO) for stream in await self._store.log.lately(NEWEST) if stream.startswith(PROMO)]

    async def _look(self, codes: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        names, wanted = listed(codes)
        rows = await self._database.all(f"select code, used, uses_total from promo_code where code in ({names})", **wanted)
        found: dict[str, list[Fault]] = {}
        for row in rows:
            if row["uses_total"] is not None and row["used"] > row["uses_total"]:
                found.setdefault(row["code"], []).append(_fault(row["code"], f"{row['code']} was used {row['used']} times of {row['uses_total']}", "uses"))
        many = {row["code"] for row in rows if row["used"] > MANY}
        self._to_walk += sorted(many - {*self._to_walk, self._walk.code} - self._walk.suspects)
        for code, faults in (await self._count([row["code"] for row in rows if row["code"] not in many or row["code"] in self._walk.suspects])).items():
            found.setdefault(code, []).extend(faults)
        self._walk.suspects &= found.keys()
        return found

    async def _count(self, codes: Sequence[str]) -> Mapping[str, Sequence[Fault]]:
        names, wanted = listed(codes)
        found: dict[str, list[Fault]] = {}
        for r in await self._database.all(_COUNTS.format(codes=names), **wanted):
            if r["used"] != r["counted"]:
                said = f"{r['code']} counts {r['used']} uses, its orders are {r['counted']}"
                found.setdefault(r["code"], []).append(_fault(r["code"], said, f"count {r['used']} {r['counted']}"))
        for r in await self._database.all(_OVERUSED.format(codes=names), **wanted):
            said = f"{r['user_id']} used {r['code']} {r['counted']} times of {r['uses_per_person']}"
            found.setdefault(r["code"], []).append(_fault(r["code"], said, f"person {r['user_id']}"))
        return found

    async def _walk_on(self) -> None:
        """What the walk finds may have changed behind it: a suspect's uses are all counted, once."""
        walk = self._walk
        if not walk.code and self._to_walk:
            walk.begin(self._to_walk.pop(0))
        if not walk.code:
            return
        row = await self._database.one("select used, uses_per_person from promo_code where code = :code", code=walk.code)
        rows = await self._database.all(_NEXT, code=walk.code, user_id=walk.user_id, order_id=walk.order_id, limit=STEP)
        walk.take(rows, row["uses_per_person"] if row else None)
        if len(rows) < STEP:
            if walk.overused or (row and row["used"] != walk.counted):
                walk.suspects.add(walk.code)
                self._to_count.append(walk.code)
            walk.begin("")

    async def _since_when(self, fault: Fault) -> Beginning:
        rows = await self._rows(fault.id)
        if rows is None:
            return untold(f"the code has more than {TRACED} rows in the log")
        what, *rest = fault.key.split()
        if what == "count":
            uses = sum(_counts(row) for row in rows)
            whose = "the count" if uses == int(rest[1]) else "what is kept of its orders" if uses == int(rest[0]) else "what is kept of it"
            return not_before(rows[-1] if rows else None, f"by the log it has {uses} uses: {whose} was changed by something that is not in the log")
        return _first_too_many(rows, rest[0] if rest else "")

    async def _rows(self, code: str) -> list[Envelope] | None:
        stream = PROMO + code
        return await self._store.log.stream(stream) if await self._store.log.last_version(stream) <= TRACED else None


class _Walk:
    """Where the walk through a code's uses stands. `suspects`: codes of which it has found something."""

    def __init__(self) -> None:
        self.suspects = set[str]()
        self.begin("")

    def begin(self, code: str) -> None:
        self.code, self.user_id, self.order_id, self.counted, self.by_user, self.overused = code, "", "", 0, 0, False

    def take(self, rows: Sequence[Row], per_person: int | None) -> None:
        for row in rows:
            self.by_user = self.by_user if row["user_id"] == self.user_id else 0
            self.user_id, self.order_id = row["user_id"], row["order_id"]
            if row["state"] != "returned":
                self.counted, self.by_user = self.counted + 1, self.by_user + 1
                self.overused |= per_person is not None and self.by_user > per_person


def _fault(code: str, sentence: str, key: str) -> Fault:
    return Fault(sentence=sentence, about="promo_code", id=code, key=key)


def _counts(row: Envelope) -> int:
    return {PromoCodeRedeemed: 1, PromoCodeGivenBack: -1}.get(type(row.message), 0)


def _first_too_many(rows: Sequence[Envelope], user_id: str) -> Beginning:
    """The row since which there are more uses than the code allows: of everybody, or of one person."""
    terms, uses, whose = None, Counter[str](), dict[str, str]()
    for row in rows:
        message = row.message
        if isinstance(message, PromoCodeCreated):
            terms = message.promo.uses_per_person if user_id else message.promo.uses_total
        elif isinstance(message, PromoCodeRedeemed):
            whose[message.order_id] = message.user_id if user_id else ""
        if isinstance(message, PromoCodeRedeemed | PromoCodeGivenBack):
            uses[whose.get(message.order_id, "")] += _counts(row)
        if terms is not None and uses[user_id] > terms:
            return since(row)
    return not_before(rows[-1] if rows else None, "the log has no more uses than there may be: what is kept of them was changed by something else")
