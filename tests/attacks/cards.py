"""Has people type card numbers wherever text can be typed, and looks for what has kept one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from tests.attacks.conftest import Town
from tests.attacks.fields import Forms, bodies
from tests.shop import Visitor
from tests.shop.cards import page_of, pay
from tests.shop.goods import PASSWORD
from tests.shop.people import COURIER
from torg.acquirer.cards import TEST_CARDS, Behaviour

CARDS = ("4242424242424242", "5555 5555 5555 4444", "3782-822463-10005")
PAGES = (
    "/", "/sign-in", "/register", "/cart", "/checkout", "/profile", "/wallet", "/notifications", "/admin/stock", "/admin/purchases", "/admin/reviews",
    "/admin/promo-codes", "/admin/networks", "/admin/clients", "/admin/users", "/admin/orders", "/admin/api-keys",
)  # fmt: skip


def has_card(text: str) -> bool:
    """One of those that are typed here, or on the acquirer's page, as it was typed or without its gaps."""
    return any(card in text or "".join(filter(str.isdigit, card)) in text for card in (*CARDS, *TEST_CARDS.values()))


def holding_cards(folder: Path) -> list[str]:
    """The files of a shop that hold a card number: databases with their logs, the search index, letters, whatever else is there."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files, "nothing is kept there at all"
    return [str(path.relative_to(folder)) for path in files if has_card(path.read_bytes().decode("latin-1"))]


async def typed_into_the_api(town: Town, *cards: str) -> None:
    """Into each field that takes free text, by a buyer and by the staff: all of them are refused."""
    description, tried, taken = (await Visitor(town.shop, prefix="").get("/openapi.json")).json, 0, list[str]()
    admin = await town.shop.staff("admin")
    for card in cards:
        for method, path, name, body in bodies(description, town.known, f"my card is {card}, thanks"):
            if not path.startswith("/api/v1"):
                continue
            for visitor in (town.buyer, admin):
                answer = await visitor.ask(method, path.removeprefix("/api/v1"), body, **{"idempotency-key": f"{card} {tried}"})
                tried += 1
                if answer.status in (403, 404):
                    continue
                if (answer.status, answer.json.get("code")) != (422, "card.not_here"):
                    taken.append(f"{method} {path} {name}: {answer.status} {answer.body[:200]!r}")
                assert card not in answer.body.decode()
    assert not taken, "\n".join(taken)
    assert tried > 100 * len(cards)


async def typed_into_the_pages(town: Town, card: str) -> None:
    """Into each field of each form, by a buyer and by the staff: all of them are refused."""
    tokens, taken, tried = (town.buyer.token, (await town.shop.staff("admin")).token), list[str](), 0
    places = [*PAGES, f"/orders/{town.known['order_id']}", f"/products/{town.known['product_id']}", f"/admin/orders/{town.known['order_id']}"]
    for token in tokens:
        for place in places:
            page = await town.open("GET", place, token)
            for form in Forms(page.body.decode()).found if page.status == 200 else ():
                for name in form.free:
                    data = {**form.fields, name: f"my card: {card}"}
                    if form.method == "GET":
                        answer = await town.open("GET", f"{form.action or place}?{urlencode(data)}", token)
                    else:
                        answer = await town.send("POST", form.action or place, token, urlencode(data).encode())
                    tried += 1
                    if answer.status != 422:
                        taken.append(f"{form.method} {form.action} on {place}, {name}: {answer.status}")
                    assert card not in answer.body.decode(), (form.action, name)
    assert not taken, "\n".join(taken)
    assert tried > 40


async def said_in_headers(town: Town, card: str) -> None:
    """What browsers and programs say of themselves is kept in some places, and told in letters."""
    shop = town.shop
    credentials = {"email": town.buyer.email, "password": PASSWORD}
    assert (await shop.send("POST", "/api/v1/sessions", credentials, user_agent=f"{card}/1", x_cart_id=card)).status == 201
    product_id, trace = shop.product(), f"00-{'4' * 32}-{card}-01"
    await town.buyer.put_in_cart(product_id, 1)
    body = {"delivery": COURIER, "payment": {"method": "balance"}}
    first, again = [await town.buyer.post("/orders", body, key=card, traceparent=trace) for _ in range(2)]
    assert (first.status, again.json["id"]) == (202, first.json["id"]), "a key that looks like one is a key all the same"
    await shop.settle()


async def paid_by_card(town: Town) -> None:
    """On the acquirer's page, where it belongs."""
    shop = town.shop
    order_id = await town.buyer.order(shop.product(), method="card")
    page = await page_of(town.buyer, order_id)
    assert page.startswith(f"{shop.address}/acquirer/pay/")
    await pay(page, Behaviour.SUCCESS)
    await town.buyer.sees(order_id, "confirmed")
    await shop.settle()
