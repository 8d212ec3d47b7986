"""Becoming a customer, coming back, leaving; and being forgotten."""

from __future__ import annotations

import pytest

from tests.shop import ADDRESS, Shop, Visitor, fresh
from tests.shop.goods import PASSWORD
from torg import topology
from torg.kit.testing.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]


async def test_every_bad_field_of_a_registration_is_named_at_once(shop: Shop):
    typed = {"email": "anna at home", "password": "1234", "full_name": "  ", "birth_date": "2990-01-01", "vip": True}
    reply = await shop.guest().post("/users", typed)
    assert reply.status == 422
    assert reply.headers["content-type"].startswith("application/problem+json")
    assert {fault["field"] for fault in reply.json["errors"]} == set(typed)
    assert reply.json["instance"] == reply.headers["x-request-id"]


async def test_an_address_belongs_to_one_account_however_it_is_written(shop: Shop):
    anna = await shop.buyer(0)
    again = await shop.guest().post("/users", {"email": anna.email.upper(), "password": PASSWORD, "full_name": "Another"})
    assert (again.status, again.json["code"]) == (409, "user.email_taken")


async def test_nobody_registers_as_staff(shop: Shop):
    reply = await shop.guest().post("/users", {"email": f"{fresh()}@x.example", "password": PASSWORD, "full_name": "Eve", "roles": ["admin"]})
    assert reply.status == 422
    assert (await (await shop.buyer(0)).get("/users/me")).json["roles"] == ["customer"]


async def test_a_common_password_is_refused(shop: Shop):
    reply = await shop.guest().post("/users", {"email": f"{fresh()}@x.example", "password": "Password2024!", "full_name": "Eve"})
    assert [fault["field"] for fault in reply.json["errors"]] == ["password"]


async def test_a_wrong_password_and_an_unknown_address_sound_the_same(shop: Shop):
    anna = await shop.buyer(0)
    wrong = await shop.guest().post("/sessions", {"email": anna.email, "password": "not-it-at-all"})
    unknown = await shop.guest().post("/sessions", {"email": f"{fresh()}@x.example", "password": "not-it-at-all"})
    assert wrong.status == unknown.status == 401
    assert (wrong.json["code"], wrong.json["detail"]) == (unknown.json["code"], unknown.json["detail"])


async def test_a_refresh_token_is_good_once_and_a_copy_of_it_ends_the_session(shop: Shop):
    anna = await shop.buyer(0)
    first = (await shop.guest().post("/sessions", {"email": anna.email, "password": PASSWORD})).json
    second = await shop.guest().post("/sessions/refresh", {"refresh_token": first["refresh_token"]})
    assert second.status == 201
    assert (await Visitor(shop, second.json["access_token"]).get("/users/me")).status == 200
    stolen = await shop.guest().post("/sessions/refresh", {"refresh_token": first["refresh_token"]})
    assert stolen.status == 401
    assert (await shop.guest().post("/sessions/refresh", {"refresh_token": second.json["refresh_token"]})).status == 401
    assert (await Visitor(shop, second.json["access_token"]).get("/users/me")).status == 401
    assert (await anna.get("/users/me")).status == 200, "another session of the same person goes on"


async def test_signing_out_takes_effect_at_once(shop: Shop):
    anna = await shop.buyer(0)
    assert (await anna.get("/users/me")).status == 200
    assert (await anna.delete("/sessions/current")).status == 204
    assert (await anna.get("/users/me")).status == 401
    assert (await anna.get("/wallet")).status == 401


async def test_an_administrator_ends_somebodys_sessions_at_once_and_they_are_told(shop: Shop):
    anna, admin = await shop.buyer(0), await shop.staff("admin")
    again, path = await shop.sign_in(anna.email), f"/admin/users/{anna.user_id}/sessions"
    found = (await admin.get(path)).json["items"]
    assert (len(found), {"access_token", "refresh_token", "access_hash"} & found[0].keys()) == (2, set())
    mine = next(one["id"] for one in (await again.get("/sessions")).json["items"] if one["current"])
    assert (await admin.delete(f"{path}/{mine}")).status == 204
    await until(lambda: _is_out(again), "one session has ended", shop.told_within)
    assert (await anna.get("/users/me")).status == 200
    assert (await admin.delete(path)).status == 204
    await until(lambda: _is_out(anna), "all have ended", shop.told_within)
    line = (await admin.get("/admin/audit", limit=1)).json["items"][0]
    assert (line["method"], line["object"], len(line["before"]["items"]), line["after"]["items"]) == ("DELETE", anna.user_id, 1, [])
    assert (await (await shop.staff("support")).get(path)).status == 403
    reader = Visitor(shop, (await shop.sign_in(anna.email)).token, prefix="")
    await until(lambda: _reads(reader, "user.sessions_ended"), "a letter tells of it")


async def _is_out(somebody: Visitor) -> bool:
    return (await somebody.get("/users/me")).status == 401


async def _reads(reader: Visitor, kind: str) -> bool:
    return kind in (await reader.get("/mailbox")).body.decode()


async def test_two_edits_of_a_profile_do_not_overwrite_each_other(shop: Shop):
    anna = await shop.buyer(0)
    read = (await anna.get("/users/me")).headers["etag"]
    assert (await anna.patch("/users/me", {"city": "Kazan"}, if_match=read)).status == 200
    late = await anna.patch("/users/me", {"city": "Omsk"}, if_match=read)
    assert late.status == 412
    assert (await anna.get("/users/me")).json["city"] == "Kazan"


async def test_a_profile_shows_what_the_wallet_holds(shop: Shop):
    anna = await shop.buyer(12_345)
    profile = (await anna.get("/users/me")).json
    assert profile["balance"] == {"amount": 12_345, "currency": "USD"}
    assert (profile["full_name"], profile["city"], profile["birth_date"]) == ("Anna Petrova", "Moscow", "1990-05-17")


async def test_an_order_goes_to_a_saved_address_of_ones_own(shop: Shop):
    anna, boris = await shop.buyer(), await shop.buyer()
    saved = await anna.post("/users/me/addresses", ADDRESS)
    assert saved.status == 201
    assert (await anna.get("/users/me/addresses")).json["items"][0]["street"] == ADDRESS["street"]
    for person, status in ((boris, 404), (anna, 202)):
        await person.put_in_cart(shop.product())
        body = {"delivery": {"method": "courier", "address_id": saved.json["id"]}, "payment": {"method": "balance"}}
        reply = await person.post("/orders", body, key=fresh())
        assert reply.status == status, reply
    assert reply.json["delivery"]["address"]["street"] == ADDRESS["street"]


async def test_the_export_holds_all_and_erasure_leaves_only_the_bookkeeping(shop: Shop):
    anna = await shop.buyer()
    order_id = await anna.bought(shop.product())
    exported = (await anna.get("/users/me/export")).json
    assert exported["profile"]["email"] == anna.email
    assert [order["id"] for order in exported["orders"]] == [order_id]
    assert not exported["missing"]
    assert (await anna.delete("/users/me")).status == 204
    assert (await anna.get("/users/me")).status == 401
    assert (await shop.guest().post("/sessions", {"email": anna.email, "password": PASSWORD})).status == 401
    await shop.settle()
    support = await shop.staff("support")
    kept = await support.get(f"/orders/{order_id}")
    assert kept.json["user_id"] == anna.user_id, "the order itself is bookkeeping"
    for log in [(await shop.store(context)).log for context in topology.CONTEXTS]:
        for row in await log.stream(anna.user_id):
            assert anna.email not in repr(row.message), f"the log of {log.context} still tells the address"
    free_again = await shop.guest().post("/users", {"email": anna.email, "password": PASSWORD, "full_name": "Someone else"})
    assert free_again.status == 201


async def test_a_new_password_ends_the_other_sessions(shop: Shop):
    anna = await shop.buyer(0)
    elsewhere = await shop.sign_in(anna.email)
    assert (await anna.post("/users/me/password", {"current_password": "not-it-at-all", "new_password": "Marble-Fjord-77"})).status == 422
    assert (await anna.post("/users/me/password", {"current_password": PASSWORD, "new_password": "Marble-Fjord-77"})).status == 204
    assert (await anna.get("/users/me")).status == 200
    assert (await elsewhere.get("/users/me")).status == 401
    assert (await shop.guest().post("/sessions", {"email": anna.email, "password": PASSWORD})).status == 401
    await shop.sign_in(anna.email, "Marble-Fjord-77")


async def test_signing_out_everywhere_ends_every_session(shop: Shop):
    anna = await shop.buyer(0)
    elsewhere = await shop.sign_in(anna.email)
    assert (await anna.delete("/sessions")).status == 204
    assert [(await visitor.get("/users/me")).status for visitor in (anna, elsewhere)] == [401, 401]


async def test_addresses_can_be_changed_and_removed(shop: Shop):
    anna = await shop.buyer(0)
    first = (await anna.post("/users/me/addresses", ADDRESS)).json
    second = (await anna.post("/users/me/addresses", {**ADDRESS, "street": "Arbat 10", "is_default": True})).json
    assert (first["is_default"], second["is_default"]) == (True, True), "each was the default when it was saved"
    changed = await anna.put(f"/users/me/addresses/{first['id']}", {**ADDRESS, "street": "Tverskaya 2"})
    assert changed.json["street"] == "Tverskaya 2"
    assert (await anna.delete(f"/users/me/addresses/{second['id']}")).status == 204
    (left,) = (await anna.get("/users/me/addresses")).json["items"]
    assert (left["street"], left["is_default"]) == ("Tverskaya 2", True)


async def test_a_role_that_is_granted_or_taken_counts_at_once(shop: Shop):
    admin, anna = await shop.staff("admin"), await shop.buyer(0)
    assert anna.user_id in {user["id"] for user in (await admin.get("/admin/users", query=anna.email)).json["items"]}
    assert (await anna.get("/warehouses")).status == 403
    granted = await admin.put(f"/admin/users/{anna.user_id}/roles", {"roles": ["customer", "warehouse"]})
    assert granted.status == 200, granted
    again = await shop.sign_in(anna.email)
    assert (await again.get("/warehouses")).status == 200
    await admin.put(f"/admin/users/{anna.user_id}/roles", {"roles": ["customer"]})

    async def shut_out() -> bool:
        return (await again.get("/warehouses")).status in (401, 403)

    await until(shut_out, "the role counts no more", shop.told_within)
