"""API keys: what they open, for how long, and who may end them."""

from __future__ import annotations

from typing import Any

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.api_keys import file_last_uses
from torg.contexts.user.model.api_keys import MOST
from torg.contexts.user.tests.house import House
from torg.kit.auth import Role
from torg.kit.errors import DomainError
from torg.kit.testing.http import Answer, ask

READS = {"name": "Stock sheet", "scopes": ["account:read"]}


class Person:
    """Somebody who asks with their session."""

    def __init__(self, house: House, token: str) -> None:
        self.house, self.token = house, token

    async def __call__(self, method: str, path: str, body: object = None) -> Answer:
        return await ask(self.house.app, method, f"/api/v1{path}", body, authorization=f"Bearer {self.token}")


async def anna(house: House) -> Person:
    await house.register()
    return Person(house, (await house.sign_in()).access_token)


async def staff(house: House, role: Role) -> Person:
    await house.do(c.EnsureUser(email=f"{role}@torg.example", password="Staff-1234-pass", full_name=role, roles=(role,)))
    return Person(house, (await house.sign_in(f"{role}@torg.example", "Staff-1234-pass")).access_token)


async def made(person: Person, **more: object) -> Any:
    answer = await person("POST", "/users/me/api-keys", {**READS, **more})
    assert answer.status == 201, answer
    assert answer.headers["cache-control"] == "no-store"
    return answer.json


async def opens(house: House, key: str, method: str = "GET", path: str = "/users/me/addresses", body: object = None) -> int:
    return (await ask(house.app, method, f"/api/v1{path}", body, x_api_key=key)).status


async def test_a_key_is_shown_once_and_kept_as_a_hash(house: House) -> None:
    person = await anna(house)
    new = await made(person)
    assert new["key"].startswith(new["prefix"])
    (listed,) = (await person("GET", "/users/me/api-keys")).json["items"]
    assert "key" not in listed
    assert (listed["prefix"], listed["tier"], listed["used_at"]) == (new["prefix"], "free", None)
    row = await house.deps.store.database.one("select * from api_key")
    assert new["key"] not in str(dict(row or {}))
    assert not any(new["key"] in str(line.message) for line in await house.deps.store.log.stream(new["user_id"]))


async def test_a_key_opens_what_its_scopes_say_and_nothing_else(house: House) -> None:
    person = await anna(house)
    key = (await made(person))["key"]
    address = {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009"}
    assert await opens(house, key) == 200
    assert await opens(house, key, "POST", body=address) == 403, "to read is not to write"
    writes = (await made(person, scopes=["account:write"]))["key"]
    assert await opens(house, writes, "POST", body=address) == 201
    assert await opens(house, writes) == 403, "and the other way round"
    for method, path in (("GET", "/users/me/api-keys"), ("POST", "/users/me/api-keys"), ("DELETE", "/users/me"), ("GET", "/users/me/export")):
        assert await opens(house, writes, method, path, READS if method == "POST" else None) == 403, "that is for people"


async def test_a_key_comes_in_its_own_header_alone(house: House) -> None:
    person = await anna(house)
    key = (await made(person))["key"]
    path = "/api/v1/users/me/addresses"
    assert (await ask(house.app, "GET", path, authorization=f"Bearer {key}")).status == 401
    assert (await ask(house.app, "GET", path, cookie=f"session={key}")).status == 401
    assert (await ask(house.app, "GET", path, x_api_key=person.token)).status == 401
    assert await opens(house, key[:-1] + ("A" if key[-1] != "A" else "B")) == 401
    assert await opens(house, "torg_" + "x" * 1_000_000) == 401


async def test_no_scope_is_made_up(house: House) -> None:
    person = await anna(house)
    for scopes in ([], ["everything"], ["account:read "], ["openid"]):
        answer = await person("POST", "/users/me/api-keys", {"name": "x", "scopes": scopes})
        assert answer.status == 422
        assert answer.json["errors"][0]["field"] == "scopes"


async def test_a_key_ends_by_itself_and_at_once_when_told_to(house: House) -> None:
    person = await anna(house)
    ended, kept = await made(person), await made(person, days=30)
    assert await opens(house, ended["key"]) == 200
    assert (await person("DELETE", f"/users/me/api-keys/{ended['id']}")).status == 204
    assert await opens(house, ended["key"]) == 401
    assert (await person("DELETE", f"/users/me/api-keys/{ended['id']}")).status == 404
    assert await opens(house, kept["key"]) == 200
    house.clock.advance(days=30)
    assert await opens(house, kept["key"]) == 401
    names = await house.log_of(kept["user_id"])
    assert names.count("user.api_key_made") == 2
    assert names.count("user.api_key_ended") == 1


async def test_an_ending_that_no_message_told_shows_within_five_seconds(sql_house: House) -> None:
    key = await made(await anna(sql_house))
    assert await opens(sql_house, key["key"]) == 200
    async with sql_house.deps.transaction() as tx:
        await tx.execute("delete from api_key")
    sql_house.clock.advance(seconds=5)
    assert await opens(sql_house, key["key"]) == 401


async def test_the_old_and_the_new_key_overlap(house: House) -> None:
    person = await anna(house)
    old = await made(person)
    new = (await person("POST", f"/users/me/api-keys/{old['id']}/rotate", {"overlap_hours": 2})).json
    assert (new["name"], new["scopes"], new["tier"]) == (old["name"], old["scopes"], old["tier"])
    assert [await opens(house, key["key"]) for key in (old, new)] == [200, 200]
    house.clock.advance(hours=2)
    assert [await opens(house, key["key"]) for key in (old, new)] == [401, 200]


async def test_nobody_touches_anothers_key(house: House) -> None:
    key = await made(await anna(house))
    await house.register("boris@example.com")
    boris = Person(house, (await house.sign_in("boris@example.com")).access_token)
    assert (await boris("DELETE", f"/users/me/api-keys/{key['id']}")).status == 404
    assert (await boris("POST", f"/users/me/api-keys/{key['id']}/rotate", {})).status == 404
    assert (await boris("GET", f"/admin/api-keys?prefix={key['prefix']}")).status == 403
    assert await opens(house, key["key"]) == 200


async def test_staff_find_a_key_by_its_beginning_raise_its_tier_and_end_it(house: House) -> None:
    key = await made(await anna(house))
    support, admin = await staff(house, Role.SUPPORT), await staff(house, Role.ADMIN)
    (found,) = (await support("GET", f"/admin/api-keys?prefix={key['prefix']}")).json["items"]
    assert found["id"] == key["id"]
    assert not (await support("GET", "/admin/api-keys?prefix=torg_zz")).json["items"]
    assert (await admin("PUT", f"/admin/api-keys/{key['id']}/tier", {"tier": "premium"})).json["tier"] == "premium"
    identity = await house.do(c.Authenticate(key["key"]))
    assert (identity.tier, identity.scopes, identity.user_id) == ("premium", frozenset({"account:read"}), key["user_id"])
    assert (await admin("DELETE", f"/admin/api-keys/{key['id']}")).status == 204
    assert await opens(house, key["key"]) == 401


async def test_when_a_key_was_last_used_is_written_later(house: House) -> None:
    person = await anna(house)
    key = await made(person)
    await opens(house, key["key"])
    used = house.clock()
    await file_last_uses(house.deps)
    (listed,) = (await house.do(c.ListApiKeys(await house.do(c.Authenticate(person.token))))).items
    assert listed.used_at == used


async def test_keys_go_with_their_person_and_with_their_roles(house: House) -> None:
    person = await anna(house)
    key = await made(person)
    await house.do(c.GrantRoles(user_id=key["user_id"], roles=(Role.CUSTOMER, Role.SUPPORT)))
    assert Role.SUPPORT in (await house.do(c.Authenticate(key["key"]))).roles
    await house.do(c.EraseMe(await house.do(c.Authenticate(person.token))))
    assert await opens(house, key["key"]) == 401


async def test_there_is_an_end_to_keys(house: House) -> None:
    person = await anna(house)
    holder = await house.do(c.Authenticate(person.token))
    for n in range(MOST):
        await house.do(c.MakeApiKey(holder=holder, name=f"{n}", scopes=("account:read",)))
    with pytest.raises(DomainError, match="end one first"):
        await house.do(c.MakeApiKey(holder=holder, name="one too many", scopes=("account:read",)))
