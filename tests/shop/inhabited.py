"""A shop in which something has happened already."""

from __future__ import annotations

from tests.shop.opening import Shop
from tests.shop.people import Buyer, deliver, fresh


async def inhabited(shop: Shop) -> tuple[Buyer, dict[str, str]]:
    """A buyer who has bought, received and reviewed something, and the ids of all that came of it."""
    buyer, clerk, product_id = await shop.buyer(), await shop.staff("warehouse"), shop.product()
    order_id = await buyer.bought(product_id)
    await deliver(await shop.staff("courier"), buyer, order_id)
    await shop.settle()
    review = (await buyer.post(f"/products/{product_id}/reviews", {"rating": 4, "title": "Fine", "text": "Fine."})).json
    address = (await buyer.post("/users/me/addresses", {"city": "Moscow", "street": "A 1", "postcode": "125009", "country": "RU"})).json
    supplier = (await clerk.once("/suppliers", {"name": "Mill"})).json
    house = (await clerk.get("/warehouses")).json["items"][0]["id"]
    lines = [{"product_id": product_id, "quantity": 6}]
    purchase = (await clerk.once("/purchase-orders", {"supplier_id": supplier["id"], "warehouse_id": house, "lines": lines})).json
    notification = (await buyer.get("/notifications")).json["items"][0]
    other = await shop.buyer(0)
    known = {
        "product_id": product_id, "order_id": order_id, "payment_id": (await buyer.payment(order_id))["id"],
        "delivery_id": (await buyer.delivery(order_id))["id"], "review_id": review["id"], "address_id": address["id"],
        "purchase_order_id": purchase["id"], "notification_id": notification["id"], "user_id": other.user_id, "code": "TENTH",
        "saga_id": (await buyer.get(f"/orders/{order_id}/saga")).json["saga_id"], "file": f"{product_id}.svg", "acquirer": "sandbox",
        "session_id": fresh(),
    }  # fmt: skip
    return buyer, known
