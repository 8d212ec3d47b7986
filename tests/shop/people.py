"""Those who use a shop, and what they do: over HTTP's own path through the application, minus the socket."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from torg.kit.http import App
from torg.kit.testing.http import Answer, ask
from torg.kit.testing.waiting import until

if TYPE_CHECKING:
    from tests.shop.opening import Shop

ADDRESS = {"city": "Moscow", "street": "Tverskaya 1", "postcode": "125009", "country": "RU"}
COURIER = {"method": "courier", "address": ADDRESS}
API = "/api/v1"


def fresh() -> str:
    """A new key or name."""
    return uuid.uuid4().hex


class Visitor:
    """Somebody who asks: with a token once signed in, and with the cart that the shop named."""

    def __init__(self, shop: Shop, token: str = "", *, to: App | None = None, prefix: str = API, headers: dict[str, str] | None = None) -> None:
        self.token, self.headers = token, headers or {}
        self._shop, self._to, self._prefix = shop, to, prefix

    async def get(self, path: str, /, **query: Any) -> Answer:
        asked = {name.rstrip("_"): value for name, value in query.items() if value != ""}
        return await self.ask("GET", path + ("?" + urlencode(asked) if asked else ""))

    async def post(self, path: str, body: object = None, /, *, key: str = "", **headers: str) -> Answer:
        return await self.ask("POST", path, body, **({"idempotency-key": key} if key else {}), **headers)

    async def once(self, path: str, body: object = None, /) -> Answer:
        """Posts it with a new Idempotency-Key."""
        return await self.post(path, body, key=fresh())

    async def put(self, path: str, body: object = None, /, **headers: str) -> Answer:
        return await self.ask("PUT", path, body, **headers)

    async def patch(self, path: str, body: object = None, /, **headers: str) -> Answer:
        return await self.ask("PATCH", path, body, **headers)

    async def delete(self, path: str, /) -> Answer:
        return await self.ask("DELETE", path)

    async def ask(self, method: str, path: str, body: object = None, /, **more: Any) -> Answer:
        headers = {**self.headers, **({"authorization": f"Bearer {self.token}"} if self.token else {}), **more}
        if self._to is not None:
            answer = await ask(self._to, method, self._prefix + path, body, **headers)
        else:
            answer = await self._shop.send(method, self._prefix + path, body, **headers)
            self._shop.answers.note(method, self._prefix + path, answer)
        if not self.token and "x-cart-id" in answer.headers:
            self.headers["x-cart-id"] = answer.headers["x-cart-id"]
        return answer


class Buyer(Visitor):
    """Somebody with an account, who buys."""

    def __init__(self, shop: Shop, token: str, *, user_id: str, email: str) -> None:
        super().__init__(shop, token)
        self.user_id, self.email = user_id, email

    async def put_in_cart(self, product_id: str, quantity: int = 1) -> Any:
        reply = await self.put(f"/cart/items/{product_id}", {"quantity": quantity})
        assert reply.status == 200, reply
        return reply.json

    async def check_out(self, method: str = "balance", *, key: str = "", **more: Any) -> Answer:
        return await self.post("/orders", {"delivery": COURIER, "payment": {"method": method}, **more}, key=key or fresh())

    async def order(self, product_id: str, quantity: int = 1, method: str = "balance") -> str:
        """Orders a product and gives the order's id."""
        await self.put_in_cart(product_id, quantity)
        reply = await self.check_out(method)
        assert reply.status == 202, reply
        order_id: str = reply.json["id"]
        return order_id

    async def bought(self, product_id: str, quantity: int = 1, method: str = "balance") -> str:
        """Orders a product and waits until that is confirmed."""
        order_id = await self.order(product_id, quantity, method)
        await self.sees(order_id, "confirmed")
        return order_id

    async def see(self, order_id: str) -> Any:
        reply = await self.get(f"/orders/{order_id}")
        assert reply.status == 200, reply
        return reply.json

    async def sees(self, order_id: str, *wanted: str) -> Any:
        """The order, once it has one of these statuses."""
        seen: list[str] = []

        async def look() -> Any:
            order = await self.see(order_id)
            if seen[-1:] != [order["status"]]:
                seen.append(order["status"])
            return order if order["status"] in wanted else None

        try:
            return await until(look, f"the order is {' or '.join(wanted)}", slowest=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; it went through {seen}") from None

    async def balance(self) -> int:
        amount: int = (await self.get("/wallet")).json["balance"]["amount"]
        return amount

    async def cancel(self, order_id: str) -> Answer:
        return await self.once(f"/orders/{order_id}/cancel", {"reason": "changed my mind"})

    async def payment(self, order_id: str) -> Any:
        """The order's one payment."""
        (payment,) = (await self.get("/payments", order_id=order_id)).json["items"]
        return payment

    async def delivery(self, order_id: str) -> Any:
        """The order's delivery to its buyer."""
        found = (await self.get("/deliveries", order_id=order_id)).json["items"]
        (delivery,) = [delivery for delivery in found if delivery["kind"] == "delivery"]
        return delivery


async def carry(courier: Visitor, delivery_id: str, *stages: str) -> None:
    """A courier tells of each stage of a parcel's way."""
    for stage in stages:
        reply = await courier.once(f"/deliveries/{delivery_id}/status", {"status": stage})
        assert reply.status == 200, reply


async def deliver(courier: Visitor, buyer: Buyer, order_id: str) -> None:
    """Brings a confirmed order to its buyer's door."""
    await carry(courier, (await buyer.delivery(order_id))["id"], "shipped", "in_transit", "delivered")
    await buyer.sees(order_id, "delivered")
