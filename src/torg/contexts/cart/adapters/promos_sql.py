"""Promo codes over SQL. A code's row counts its uses; changing that row is the turnstile that lets one redeemer through at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from torg.contexts.cart import model
from torg.contexts.cart.contracts import PromoCode
from torg.contexts.cart.model import Use
from torg.contexts.cart.ports import Redemption
from torg.kit.errors import DomainError
from torg.kit.messages import encode
from torg.kit.pages import Page, cut
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import stamp

_COLUMNS = "terms, active, used"
_OF_USER = "select count(*) from promo_redemption where code = :code and user_id = :user_id and state <> 'returned'"
_STATE = "select state from promo_redemption where order_id = :order_id and code = :code"
_RETURN = "update promo_redemption set state = 'returned' where order_id = :order_id and code = :code and state <> 'returned'"

_terms = msgspec.json.Decoder(PromoCode).decode


class SqlPromoCodes:
    """Implements PromoCodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tx: Transaction, promo: PromoCode) -> bool:
        added = await tx.execute(
            """insert into promo_code (code, terms, active, used, uses_total, uses_per_person, created_at)
               values (:code, :terms, 1, 0, :uses_total, :uses_per_person, :at) on conflict do nothing""",
            code=promo.code, terms=encode(promo).decode(), uses_total=promo.uses_total, uses_per_person=promo.uses_per_person,
            at=stamp(promo.created_at),
        )  # fmt: skip
        return added > 0

    async def disable(self, tx: Transaction, code: str) -> bool:
        return await tx.execute("update promo_code set active = 0 where code = :code and active = 1", code=code) > 0

    async def find(self, code: str, tx: Transaction | None = None) -> PromoCode | None:
        row = await (tx or self._database).one(f"select {_COLUMNS} from promo_code where code = :code", code=code)
        return _promo(row) if row else None

    async def uses_by(self, code: str, user_id: str) -> int:
        return int(await self._database.value(_OF_USER, code=code, user_id=user_id))

    async def page(self, cursor: str, limit: int) -> Page[PromoCode]:
        rows = await self._database.all(
            f"select code, {_COLUMNS} from promo_code where code > :cursor order by code limit :limit", cursor=cursor, limit=limit + 1
        )
        return cut(rows, limit, _promo, "code")

    async def redeem(self, tx: Transaction, use: Redemption, now: datetime) -> PromoCode | None:
        filed = await tx.execute(
            """insert into promo_redemption (order_id, code, user_id, state, at) values (:order_id, :code, :user_id, 'held', :at)
               on conflict do nothing""",
            order_id=use.order_id, code=use.code, user_id=use.user_id, at=stamp(now),
        )  # fmt: skip
        if not filed:
            await self._check_counted(tx, use)
            return None
        row = await tx.one(
            f"""update promo_code set used = used + 1 where code = :code and active = 1 and (uses_total is null or used < uses_total)
                returning {_COLUMNS}""",
            code=use.code,
        )
        if row is None:
            raise _refusal(use.code, await self.find(use.code, tx))
        promo = _promo(row)
        await self._check_person(tx, use, promo.uses_per_person)
        return promo

    async def note_placed(self, tx: Transaction, order_id: str) -> None:
        await tx.execute("update promo_redemption set state = 'placed' where order_id = :order_id and state = 'held'", order_id=order_id)

    async def give_back(self, tx: Transaction, order_id: str) -> Sequence[str]:
        held = await tx.all("select code from promo_redemption where order_id = :order_id and state <> 'returned'", order_id=order_id)
        return [row["code"] for row in held if await self._return(tx, order_id, row["code"])]

    async def codes(self, after: str, limit: int) -> Sequence[str]:
        rows = await self._database.all("select code from promo_code where code > :after order by code limit :limit", after=after, limit=limit)
        return [row["code"] for row in rows]

    async def uses(self, tx: Transaction, code: str) -> tuple[int, dict[str, Use]]:
        rows = await tx.all("select order_id, user_id, state from promo_redemption where code = :code", code=code)
        used = await tx.value("select used from promo_code where code = :code", code=code)
        return used, {row["order_id"]: (row["user_id"], row["state"]) for row in rows}

    async def set_uses(self, tx: Transaction, code: str, used: int, uses: Mapping[str, Use], now: datetime) -> None:
        await tx.execute("update promo_code set used = :used where code = :code", used=used, code=code)
        await tx.execute_many(
            """insert into promo_redemption (order_id, code, user_id, state, at) values (:order_id, :code, :user_id, :state, :at)
               on conflict (order_id, code) do update set state = excluded.state""",
            [{"order_id": order_id, "code": code, "user_id": user_id, "state": state, "at": stamp(now)} for order_id, (user_id, state) in uses.items()],
        )

    async def unplaced(self, before: datetime, limit: int) -> Sequence[Redemption]:
        rows = await self._database.all(
            "select code, order_id, user_id from promo_redemption where state = 'held' and at < :before order by at limit :limit",
            before=stamp(before), limit=limit,
        )  # fmt: skip
        return [Redemption(row["code"], row["order_id"], row["user_id"]) for row in rows]

    async def _check_counted(self, tx: Transaction, use: Redemption) -> None:
        """Raises DomainError when the order had its use and came to nothing since."""
        state = await tx.value(_STATE, order_id=use.order_id, code=use.code)
        if state == "returned":
            raise DomainError("promo.not_applicable", "this order came to nothing and has given its promo code back: order anew")

    async def _check_person(self, tx: Transaction, use: Redemption, limit: int | None) -> None:
        """Right also where several run at once: whoever counts has the code's row to themselves by now, and this very use counts."""
        if limit is not None and int(await tx.value(_OF_USER, code=use.code, user_id=use.user_id)) > limit:
            raise model.used_up_by_person(use.code)

    async def _return(self, tx: Transaction, order_id: str, code: str) -> int:
        given = await tx.execute(_RETURN, order_id=order_id, code=code)
        if given:
            await tx.execute("update promo_code set used = used - 1 where code = :code", code=code)
        return given


def _promo(row: Row) -> PromoCode:
    return msgspec.structs.replace(_terms(row["terms"]), active=bool(row["active"]), used=row["used"])


def _refusal(code: str, promo: PromoCode | None) -> DomainError:
    if promo is None:
        return DomainError("promo.not_applicable", f"there is no promo code {code}")
    return model.used_up(code) if promo.active else model.ended(code)
