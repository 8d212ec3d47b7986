"""Users and their addresses over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from torg.contexts.user.contracts import ERASED, AddressView, EmailChanged, LinkMade, UserChanged, UserRegistered
from torg.contexts.user.model.accounts import UNUSABLE, Account, email_key, email_taken
from torg.kit.auth import Duties, Role
from torg.kit.errors import NotFound
from torg.kit.messages import Message
from torg.kit.pages import Page, after_time, cut
from torg.kit.sql import Database, Row
from torg.kit.sql.parts import where
from torg.kit.store import Transaction
from torg.kit.values import Clock, Language, moment, stamp

_roles = msgspec.json.Decoder(frozenset[Role]).decode
_duties = msgspec.json.Decoder(Duties).decode


class SqlUserStore:
    """Implements UserStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def add(self, tx: Transaction, account: Account) -> None:
        filed = await tx.execute(
            """insert into users (id, email, email_key, password_hash, full_name, city, birth_date, language, roles, duties, confirmed_email,
                   created_at, updated_at)
               values (:id, :email, :email_key, :password_hash, :full_name, :city, :birth_date, :language, :roles, :duties, :confirmed_email, :created_at,
                   :created_at)
               on conflict do nothing""",
            **_columns(account), created_at=stamp(account.created_at),
        )  # fmt: skip
        if not filed:
            raise email_taken()

    async def save(self, tx: Transaction, account: Account) -> None:
        if await tx.value("select id from users where email_key = :key and id <> :id", key=email_key(account.email), id=account.id):
            raise email_taken()
        await tx.execute(
            """update users set email = :email, email_key = :email_key, password_hash = :password_hash, full_name = :full_name, city = :city,
                   birth_date = :birth_date, language = :language, roles = :roles, duties = :duties, confirmed_email = :confirmed_email,
                   updated_at = :now where id = :id""",
            **_columns(account), now=stamp(self._clock()),
        )  # fmt: skip

    async def find(self, user_id: str) -> Account | None:
        row = await self._database.one("select * from users where id = :id and erased_at is null", id=user_id)
        return _account(row) if row else None

    async def find_by_email(self, email: str) -> Account | None:
        row = await self._database.one("select * from users where email_key = :key", key=email_key(email))
        return _account(row) if row else None

    async def load(self, tx: Transaction, user_id: str) -> Account:
        row = await tx.one("select * from users where id = :id and erased_at is null", id=user_id)
        if row is None:
            raise NotFound("user.not_found", f"there is no user {user_id}")
        return _account(row)

    async def find_outside(self, issuer: str, subject: str) -> str | None:
        found: str | None = await self._database.value(
            "select user_id from outside_identity where issuer = :issuer and subject = :subject", issuer=issuer, subject=subject
        )
        return found

    async def outside_of(self, user_id: str) -> Sequence[str]:
        rows = await self._database.all("select issuer from outside_identity where user_id = :user_id order by issuer", user_id=user_id)
        return [row["issuer"] for row in rows]

    async def link_outside(self, tx: Transaction, issuer: str, subject: str, user_id: str) -> None:
        await tx.execute(
            """insert into outside_identity (issuer, subject, user_id, linked_at) values (:issuer, :subject, :user_id, :now)
               on conflict (issuer, subject) do update set user_id = excluded.user_id, linked_at = excluded.linked_at""",
            issuer=issuer, subject=subject, user_id=user_id, now=stamp(self._clock()),
        )  # fmt: skip

    async def unlink_outside(self, tx: Transaction, user_id: str) -> None:
        await tx.execute("delete from outside_identity where user_id = :user_id", user_id=user_id)

    async def erase(self, tx: Transaction, user_id: str) -> None:
        now = stamp(self._clock())
        await tx.execute("delete from address where user_id = :id", id=user_id)
        await self.unlink_outside(tx, user_id)
        await tx.execute("delete from passkey where user_id = :id", id=user_id)
        await tx.execute("delete from totp where user_id = :id", id=user_id)
        await tx.execute("delete from recovery_code where user_id = :id", id=user_id)
        await tx.execute("delete from passkey_step where user_id = :id", id=user_id)
        await tx.execute("delete from former_password where user_id = :id", id=user_id)
        await tx.execute("delete from familiar where user_id = :id", id=user_id)
        await tx.execute("delete from one_time_link where user_id = :id", id=user_id)
        await tx.execute("delete from answer where caller = :id", id=user_id)
        await tx.execute(
            """update users set email = :erased, email_key = null, password_hash = :unusable, full_name = :erased, city = '', birth_date = null,
                   roles = '[]', duties = '{}', confirmed_email = null, erased_at = :now, updated_at = :now where id = :id""",
            id=user_id, erased=ERASED, unusable=UNUSABLE, now=now,
        )  # fmt: skip
        await tx.redact(user_id, _without_person)

    async def page(self, prefix: str, cursor: str, limit: int) -> Page[Account]:
        at, id = after_time(cursor)
        beginning = "".join(f"\\{letter}" if letter in "%_\\" else letter for letter in email_key(prefix))
        wanted = where(("email_key like :beginning escape '\\'", prefix), ("(created_at, id) < (:at, :id)", cursor))
        rows = await self._database.relaxed(0).all(
            f"select * from users where erased_at is null and {wanted} order by created_at desc, id desc limit :limit",
            beginning=f"{beginning}%", at=at, id=id, limit=limit + 1,
        )  # fmt: skip
        return cut(rows, limit, _account, "created_at", "id")

    async def former_passwords(self, user_id: str) -> Sequence[str]:
        return [row["hash"] for row in await self._database.all("select hash from former_password where user_id = :user_id", user_id=user_id)]

    async def keep_former(self, tx: Transaction, user_id: str, hashed: str, most: int) -> None:
        number = 1 + await tx.value("select coalesce(max(number), 0) from former_password where user_id = :user_id", user_id=user_id)
        await tx.execute("insert into former_password (user_id, number, hash) values (:user_id, :number, :hash)", user_id=user_id, number=number, hash=hashed)
        await tx.execute("delete from former_password where user_id = :user_id and number <= :old", user_id=user_id, old=number - most)

    async def has_admin_besides(self, tx: Transaction, user_id: str) -> bool:
        found = await tx.value("select 1 from users where id <> :id and roles like '%\"admin\"%' and erased_at is null", id=user_id)
        return found is not None


class SqlAddressStore:
    """Implements AddressStore."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def of(self, user_id: str, tx: Transaction | None = None) -> Sequence[AddressView]:
        rows = await (tx or self._database).all("select * from address where user_id = :user_id order by is_default desc, created_at, id", user_id=user_id)
        return [
            AddressView(
                id=row["id"], city=row["city"], street=row["street"], postcode=row["postcode"], country=row["country"], is_default=bool(row["is_default"])
            )
            for row in rows
        ]

    async def put(self, tx: Transaction, user_id: str, address: AddressView) -> None:
        if address.is_default:
            await tx.execute("update address set is_default = 0 where user_id = :user_id and is_default = 1", user_id=user_id)
        await tx.execute(
            """insert into address (id, user_id, city, street, postcode, country, is_default, created_at)
               values (:id, :user_id, :city, :street, :postcode, :country, :is_default, :now)
               on conflict (id) do update set city = excluded.city, street = excluded.street, postcode = excluded.postcode,
                   country = excluded.country, is_default = excluded.is_default""",
            **{**msgspec.structs.asdict(address), "is_default": int(address.is_default)}, user_id=user_id, now=stamp(self._clock()),
        )  # fmt: skip

    async def remove(self, tx: Transaction, user_id: str, address_id: str) -> None:
        await tx.execute("delete from address where user_id = :user_id and id = :id", user_id=user_id, id=address_id)


def _account(row: Row) -> Account:
    return Account(
        id=row["id"], email=row["email"], password_hash=row["password_hash"], full_name=row["full_name"], city=row["city"],
        birth_date=date.fromisoformat(row["birth_date"]) if row["birth_date"] else None, language=Language(row["language"]),
        roles=_roles(row["roles"]), duties=_duties(row["duties"]), confirmed=row["confirmed_email"] == row["email_key"], created_at=moment(row["created_at"]),
    )  # fmt: skip


def _columns(account: Account) -> dict[str, str | None]:
    return {
        "id": account.id, "email": account.email, "email_key": email_key(account.email), "password_hash": account.password_hash,
        "full_name": account.full_name, "city": account.city, "birth_date": account.birth_date.isoformat() if account.birth_date else None,
        "language": account.language.value, "roles": msgspec.json.encode(sorted(account.roles)).decode(),
        "duties": msgspec.json.encode(account.duties).decode(), "confirmed_email": email_key(account.email) if account.confirmed else None,
    }  # fmt: skip


def _without_person(event: Message) -> Message:
    if isinstance(event, (UserRegistered, UserChanged)):
        return msgspec.structs.replace(event, email=ERASED, full_name=ERASED, city="")
    if isinstance(event, (LinkMade, EmailChanged)):
        return msgspec.structs.replace(event, sealed="")
    return event
