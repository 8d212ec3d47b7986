"""The matrix of access: every route that is described, as every role, for what is one's own and for somebody else's. What to expect is the policy's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.shop import Shop, Visitor, fresh, until
from tests.shop.goods import STAFF
from tests.shop.people import Buyer
from torg.kit.access import Access
from torg.kit.auth import Identity, Role
from torg.kit.policy import OPENID

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("in_order")]

SOME_ID = "01890000-0000-7000-8000-000000000000"
ACCESS = Access.of_the_shop()
PROGRAMS = ACCESS.policy.programs
ROOM_FOR = {200, 201, 202, 204, 400, 404, 409, 413, 415, 422, 428}
"""What somebody may be answered who is let in: here they ask for nothing that there is, with bodies that are empty."""
ENDS_THE_SESSION = {("DELETE", "/api/v1/users/me"), ("DELETE", "/api/v1/sessions"), ("DELETE", "/api/v1/sessions/current")}
TAKES_LONG = {"text/event-stream"}
ANYBODYS = {"product_id", "warehouse_id", "code", "acquirer", "file", "supplier_id", "purchase_order_id"}
"""What in a path belongs to the shop, and to nobody in particular."""


@dataclass(frozen=True)
class Door:
    """A route, as the description has it."""

    method: str
    path: str
    right: str
    streams: bool

    @property
    def names(self) -> list[str]:
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    def at(self, **values: str) -> str:
        return "/".join(values.get(part[1:-1], SOME_ID) if part.startswith("{") else part for part in self.path.split("/"))


async def doors(shop: Shop) -> list[Door]:
    described = (await Visitor(shop, prefix="").get("/openapi.json")).json["paths"]
    found = [
        Door(method.upper(), path, operation["x-right"], not TAKES_LONG.isdisjoint(operation["responses"].get("200", {}).get("content", {})))
        for path, methods in described.items()
        for method, operation in methods.items()
        if path.startswith("/api/")
    ]
    assert len(found) >= 95
    assert all(ACCESS.knows(door.right) for door in found)
    return found


async def knock(shop: Shop, door: Door, path: str, token: str, body: object = None) -> int:
    reply = await Visitor(shop, token, prefix="").ask(door.method, path, body, **{"idempotency-key": fresh()})
    return int(reply.status)


async def somebody(shop: Shop, role: Role) -> Visitor:
    buyer = await shop.buyer(0)
    if role is Role.CUSTOMER:
        return buyer
    assert (await (await shop.staff("admin")).put(f"/admin/users/{buyer.user_id}/roles", {"roles": [role]})).status == 200
    return await shop.sign_in(buyer.email)


async def test_a_guest_is_asked_to_sign_in_wherever_the_policy_does_not_let_guests_in(shop: Shop):
    for door in await doors(shop):
        if not ACCESS.grants(None, door.right):
            reply = await Visitor(shop, prefix="").ask(door.method, door.at(), **{"idempotency-key": fresh()})
            assert (reply.status, reply.json["code"], reply.headers["www-authenticate"].split()[0]) == (401, "session.required", "Bearer"), door


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_gets_through_just_the_doors_that_the_policy_opens_for_it(shop: Shop, role: Role):
    who = await shop.staff(role) if role in STAFF else await somebody(shop, role)
    identity, wrong = Identity("somebody", frozenset({role})), []
    for door in await doors(shop):
        if (door.method, door.path) in ENDS_THE_SESSION or door.streams:
            continue
        let_in = bool(ACCESS.grants(identity, door.right))
        status = await knock(shop, door, door.at(), who.token)
        if (status in ROOM_FOR) is not let_in or (not let_in and status != 403):
            wrong.append((door, let_in, status))
    assert not wrong


async def test_a_key_gets_through_just_the_doors_that_its_scope_opens(shop: Shop):
    admin, found, wrong = await shop.staff("admin"), await doors(shop), []
    for scope in [name for name in PROGRAMS.scopes if name not in OPENID]:
        owner = await somebody(shop, Role.ADMIN)  # another for each scope: what one person may ask in a minute is limited
        made = (await owner.post("/users/me/api-keys", {"name": scope, "scopes": [scope]})).json
        assert (await admin.put(f"/admin/api-keys/{made['id']}/tier", {"tier": "enterprise"})).status == 200
        for door in found:
            lent = door.right in PROGRAMS.scopes[scope].rights
            if door.streams or door.right in PROGRAMS.as_guests or (lent and door.method != "GET"):
                continue  # what an administrator may change is knocked at above
            reply = await Visitor(shop, prefix="").ask(door.method, door.at(), **{"idempotency-key": fresh(), "x-api-key": made["key"]})
            if (reply.status in ROOM_FOR) is not lent or (not lent and not reply.json["code"].startswith("scope.")):
                wrong.append((scope, door, reply.status))
    assert not wrong


async def things_of(anna: Buyer, shop: Shop) -> dict[str, str]:
    """Something of hers for each kind of id that stands in a path."""
    order_id = await anna.bought(shop.product())
    address = {"city": "Moscow", "street": "A 1", "postcode": "125009", "country": "RU"}
    await anna.post("/users/me/addresses", address)
    saved = (await anna.post("/users/me/addresses", address)).json
    return {
        "order_id": order_id, "address_id": saved["id"], "payment_id": (await anna.payment(order_id))["id"],
        "delivery_id": (await anna.delivery(order_id))["id"],
        "saga_id": (await anna.get(f"/orders/{order_id}/saga")).json["saga_id"], "notification_id": (await anna.get("/notifications")).json["items"][0]["id"],
        "user_id": anna.user_id, "session_id": (await anna.get("/sessions")).json["items"][0]["id"],
        "key_id": (await anna.post("/users/me/api-keys", {"name": "mine", "scopes": ["orders:read"]})).json["id"],
    }  # fmt: skip


GOOD_BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("POST", "/api/v1/orders/{order_id}/cancel"): {"reason": "not mine"},
    ("POST", "/api/v1/orders/{order_id}/returns"): {"reason": "not mine", "lines": [{"product_id": "p-1", "quantity": 1}]},
    ("PUT", "/api/v1/users/me/addresses/{address_id}"): {"city": "Perm", "street": "Lenina 1", "postcode": "614000", "country": "RU"},
    ("POST", "/api/v1/users/me/api-keys/{key_id}/rotate"): {},
}
"""Where what is sent is looked at before whose it is about: with less, a refusal would prove nothing."""


async def test_every_id_in_every_route_swapped_for_another_persons_is_not_there_or_forbidden(shop: Shop):
    anna, thief = await shop.buyer(), await shop.buyer()
    hers, tried, wrong = await things_of(anna, shop), set[str](), []
    for door in await doors(shop):
        if not set(door.names) & hers.keys():
            continue
        tried |= set(door.names) & hers.keys()
        status = await knock(shop, door, door.at(**hers), thief.token, GOOD_BODIES.get((door.method, door.path)))
        if status not in (403, 404):
            wrong.append((door, status))
    assert not wrong
    assert tried == hers.keys(), "there is a route for each kind of thing"
    for path in ("/payments", "/deliveries"):
        assert not (await thief.get(path, order_id=hers["order_id"])).json["items"], path
    assert (await anna.see(hers["order_id"]))["status"] == "confirmed"
    assert len((await anna.get("/users/me/addresses")).json["items"]) == 2


async def test_what_is_ones_own_is_there(shop: Shop):
    anna = await shop.buyer()
    hers = await things_of(anna, shop)
    identity, wrong = Identity(anna.user_id, frozenset({Role.CUSTOMER})), []
    for door in await doors(shop):
        if door.method == "GET" and set(door.names) <= hers.keys() and door.names and ACCESS.grants(identity, door.right) and not door.streams:
            status = await knock(shop, door, door.at(**hers), anna.token)
            if status != 200:
                wrong.append((door, status))
    assert not wrong


async def test_all_that_stands_in_a_path_is_somebodys_or_anybodys(shop: Shop):
    """A new kind of id has to be put to the test above, or said to be nobody's."""
    anna = await shop.buyer()
    known = {*(await things_of(anna, shop)), *ANYBODYS, *OF_STAFF, *SHOWN_TO_ALL, *MADE_IN_A_BROWSER}
    assert not {name for door in await doors(shop) for name in door.names} - known


OF_STAFF = {"dead_letter_id", "rule_id", "charge_id", "client_id"}
SHOWN_TO_ALL = {"review_id"}
"""Reviews are public once they are published; tests/journeys/test_reviews.py has those that are not."""
MADE_IN_A_BROWSER = {"passkey_id"}
"""contexts/user/tests/test_passkeys.py tries another person's."""


async def test_bodies_do_not_say_who_asks(shop: Shop):
    """Names of fields that a handler is given by the edge are unknown to a body."""
    anna, boris = await shop.buyer(), await shop.buyer()
    for field in ("holder", "buyer", "viewer", "owner", "user_id", "roles"):
        body: dict[str, Any] = {"full_name": "Anna", field: {"user_id": boris.user_id, "roles": ["admin"]}}
        reply = await anna.patch("/users/me", body)
        assert reply.status == 422, field
    assert (await boris.get("/users/me")).json["full_name"] != "Anna"


async def test_who_works_in_one_warehouse_and_one_city_works_in_no_other(shop: Shop):
    admin, buyer, everywhere = await shop.staff("admin"), await shop.buyer(), await shop.staff("warehouse")
    first, second = (warehouse["id"] for warehouse in (await everywhere.get("/warehouses")).json["items"][:2])
    clerk = await shop.buyer(0)
    duties = {"roles": ["warehouse", "courier"], "warehouses": [first], "cities": ["Omsk"]}
    assert (await admin.put(f"/admin/users/{clerk.user_id}/roles", duties)).json["duties"] == {"warehouses": [first], "cities": ["Omsk"]}
    clerk_now = await shop.sign_in(clerk.email)  # elsewhere in a fleet the old session's roles are believed for some seconds
    product_id, correction = shop.product(), {"quantity": 1, "reason": "counted"}
    assert (await clerk_now.once(f"/inventory/{product_id}/movements", {"warehouse_id": first, **correction})).status == 201
    refused = await clerk_now.once(f"/inventory/{product_id}/movements", {"warehouse_id": second, **correction})
    assert (refused.status, refused.json["code"]) == (403, "access.condition"), refused
    assert second in refused.json["detail"]
    parcel = await buyer.delivery(await buyer.bought(product_id))
    assert (await clerk_now.get(f"/deliveries/{parcel['id']}")).status == 200, "a warehouse sees where to all parcels go"
    away = await clerk_now.once(f"/deliveries/{parcel['id']}/status", {"status": "shipped"})
    assert (away.status, away.json["code"]) == (403, "access.condition"), "it goes to Moscow"
    assert (await admin.put(f"/admin/users/{clerk.user_id}/roles", {**duties, "roles": ["courier"]})).status == 200
    rider = await shop.sign_in(clerk.email)
    assert (await rider.get(f"/deliveries/{parcel['id']}")).status == 404
    assert not (await rider.get("/deliveries", order_id=parcel["order_id"])).json["items"], "and is in no list, either"
    assert (await admin.put(f"/admin/users/{clerk.user_id}/roles", {"roles": ["warehouse"]})).json["duties"] is None
    assert (await (await shop.sign_in(clerk.email)).once(f"/inventory/{product_id}/movements", {"warehouse_id": second, **correction})).status == 201


RECORDS = {"order": ("orders:read", "/orders", "order_id"), "delivery": ("deliveries:read", "/deliveries", "delivery_id"),
           "payment": ("payments:read", "/payments", "payment_id")}  # fmt: skip
BLANK = (None, "", "—")


def leaves(record: Any, at: str = "") -> dict[str, Any]:
    """What a record says, by dotted names."""
    if not isinstance(record, dict):
        return {at: record}
    return {name: value for field, within in record.items() for name, value in leaves(within, f"{at}.{field}".lstrip(".")).items()}


def shown(name: str, fields: frozenset[str] | None) -> bool:
    return fields is None or any(name == field or name.startswith(f"{field}.") for field in fields)


@pytest.mark.parametrize("role", sorted(STAFF))
async def test_a_role_sees_of_other_peoples_records_just_the_fields_that_the_policy_shows_it(shop: Shop, role: str):
    anna, member, identity = await shop.buyer(), await shop.staff(role), Identity("somebody", frozenset({Role(role)}))
    hers, hidden = await things_of(anna, shop), 0
    for kind, (right, path, name) in RECORDS.items():
        if not ACCESS.sees_all(identity, right):
            continue
        whole, seen = [leaves((await who.get(f"{path}/{hers[name]}")).json) for who in (anna, member)]
        fields = ACCESS.fields(identity, kind)
        assert seen == {field: value if shown(field, fields) else seen[field] for field, value in whole.items()}, kind
        assert all(seen[field] in BLANK for field in whole if not shown(field, fields)), kind
        hidden += sum(value not in BLANK for field, value in whole.items() if not shown(field, fields))
        if kind != "order":
            (listed,) = [leaves(one) for one in (await member.get(path, order_id=hers["order_id"])).json["items"] if one["id"] == hers[name]]
            assert listed == seen, "a list shows no more"
    if ACCESS.sees_all(identity, "all-orders:read"):
        (listed,) = (await member.get("/admin/orders", user_id=anna.user_id)).json["items"]
        assert leaves(listed) == leaves((await member.get(f"/orders/{hers['order_id']}")).json)
    assert (hidden > 0) is (role == Role.WAREHOUSE), "a warehouse is not told where to and for whom"


async def test_the_address_at_which_a_buyer_pays_is_the_buyers(shop: Shop):
    anna, support = await shop.buyer(0), await shop.staff("support")
    order_id = await anna.order(shop.product(), method="card")

    async def told() -> bool:
        return bool((await anna.see(order_id))["payment"]["redirect_url"])

    await until(told, "the buyer is told where to pay")
    for reply in (await support.get(f"/orders/{order_id}"), await support.once(f"/orders/{order_id}/cancel", {"reason": "asked for by phone"})):
        assert reply.status in (200, 202), reply
        assert (reply.json["payment"]["method"], reply.json["payment"]["redirect_url"]) == ("card", None)


async def test_support_does_not_see_when_somebody_was_born_and_an_administrator_does(shop: Shop):
    buyer = await shop.buyer(0)
    seen = {}
    for role in ("support", "admin"):
        (found,) = (await (await shop.staff(role)).get("/admin/users", query=buyer.email)).json["items"]
        seen[role] = (found["email"], found["birth_date"])
    assert seen == {"support": (buyer.email, None), "admin": (buyer.email, "1990-05-17")}
    assert (await buyer.get("/users/me")).json["birth_date"] == "1990-05-17"
