"""What devices are asked, and what they answer, by py_webauthn; and passkeys over SQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import AuthenticatorSelectionCriteria, PublicKeyCredentialDescriptor, ResidentKeyRequirement, UserVerificationRequirement

from torg.contexts.user.model.passkeys import Passkey, Shown
from torg.kit.sql import Database, Row
from torg.kit.store import Transaction
from torg.kit.values import moment, stamp

_id = msgspec.json.Decoder(dict[str, object]).decode


class WebAuthn:
    """Implements Devices. Passkeys belong to the host of the shop's public address, and only its pages may ask for them. They belong to names: where the
    address is a number of this machine, they are those of localhost."""

    def __init__(self, public_url: str) -> None:
        parts = urlsplit(public_url.rstrip("/"))
        self._host = "localhost" if parts.hostname in ("127.0.0.1", "::1") else parts.hostname or ""
        self._origin = public_url.rstrip("/") if self._host == parts.hostname else f"{parts.scheme}://{self._host}:{parts.port or 80}"

    def ask_for_new(self, user_id: str, email: str, name: str, challenge: bytes, known: Sequence[str]) -> str:
        selection = AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, require_resident_key=True, user_verification=UserVerificationRequirement.REQUIRED
        )
        excluded = [PublicKeyCredentialDescriptor(id=bytes.fromhex(one)) for one in known]
        options = generate_registration_options(
            rp_id=self._host, rp_name="Torg", user_name=email, user_id=user_id.encode(), user_display_name=name, challenge=challenge,
            authenticator_selection=selection, exclude_credentials=excluded,
        )  # fmt: skip
        return options_to_json(options)

    def ask_for_any(self, challenge: bytes, known: Sequence[str] = ()) -> str:
        allowed = [PublicKeyCredentialDescriptor(id=bytes.fromhex(one)) for one in known]
        options = generate_authentication_options(
            rp_id=self._host, challenge=challenge, user_verification=UserVerificationRequirement.REQUIRED, allow_credentials=allowed
        )
        return options_to_json(options)

    def new(self, credential: str, challenge: bytes) -> Shown | None:
        try:
            found = verify_registration_response(
                credential=credential, expected_challenge=challenge, expected_rp_id=self._host, expected_origin=self._origin, require_user_verification=True
            )
        except (WebAuthnException, ValueError):
            return None
        return Shown(found.credential_id.hex(), found.credential_public_key.hex(), found.sign_count)

    def named(self, credential: str) -> str:
        try:
            raw = _id(credential).get("id")
        except msgspec.DecodeError:
            return ""
        return _hex(raw) if isinstance(raw, str) else ""

    def proven(self, credential: str, challenge: bytes, passkey: Passkey) -> Shown | None:
        try:
            found = verify_authentication_response(
                credential=credential, expected_challenge=challenge, expected_rp_id=self._host, expected_origin=self._origin,
                credential_public_key=bytes.fromhex(passkey.public_key), credential_current_sign_count=passkey.sign_count, require_user_verification=True,
            )  # fmt: skip
        except (WebAuthnException, ValueError):
            return None
        return Shown(passkey.id, passkey.public_key, found.new_sign_count)


class SqlPasskeyStore:
    """Implements PasskeyStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, user_id: str, tx: Transaction | None = None) -> Sequence[Passkey]:
        return [_passkey(row) for row in await (tx or self._database).all("select * from passkey where user_id = :id order by made_at, id", id=user_id)]

    async def find(self, id: str) -> Passkey | None:
        row = await self._database.one("select p.* from passkey p join users u on u.id = p.user_id where p.id = :id and u.erased_at is null", id=id)
        return _passkey(row) if row else None

    async def add(self, tx: Transaction, passkey: Passkey) -> bool:
        return bool(
            await tx.execute(
                """insert into passkey (id, user_id, name, public_key, sign_count, made_at) values (:id, :user_id, :name, :public_key, :sign_count, :at)
                   on conflict do nothing""",
                id=passkey.id, user_id=passkey.user_id, name=passkey.name, public_key=passkey.public_key, sign_count=passkey.sign_count,
                at=stamp(passkey.made_at),
            )
        )  # fmt: skip

    async def used(self, tx: Transaction, id: str, sign_count: int, now: datetime) -> None:
        await tx.execute("update passkey set sign_count = :count, used_at = :now where id = :id", count=sign_count, now=stamp(now), id=id)

    async def remove(self, tx: Transaction, user_id: str, id: str) -> bool:
        return bool(await tx.execute("delete from passkey where user_id = :user_id and id = :id", user_id=user_id, id=id))

    async def spend(self, tx: Transaction, hashed: str, until: datetime) -> bool:
        filed = await tx.execute("insert into spent_challenge (hash, until) values (:hash, :until) on conflict do nothing", hash=hashed, until=stamp(until))
        return bool(filed)

    async def drop_spent(self, tx: Transaction, now: datetime) -> None:
        await tx.execute("delete from spent_challenge where until < :now", now=stamp(now))


def _hex(base64url: str) -> str:
    from base64 import urlsafe_b64decode

    try:
        return urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4)).hex()
    except ValueError:
        return ""


def _passkey(row: Row) -> Passkey:
    return Passkey(
        id=row["id"], user_id=row["user_id"], name=row["name"], public_key=row["public_key"], sign_count=row["sign_count"], made_at=moment(row["made_at"]),
        used_at=moment(row["used_at"]) if row["used_at"] else None,
    )  # fmt: skip
