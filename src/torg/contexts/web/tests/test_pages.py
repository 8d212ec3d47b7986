"""Pages of the shop: what they show, what they survive, and what they never let through."""

from __future__ import annotations

import asyncio
import gzip

import pytest

from torg.contexts.analytics.contracts import GetRecommendations
from torg.contexts.cart.contracts import CartItem, GetCart, PutItem, RemoveItem
from torg.contexts.catalog.contracts import GetProduct, ListCategories, ListProducts, ListProductsById, ListShelf, Recommend, RecommendedProducts
from torg.contexts.notification.contracts import GetPreferences, ListNotifications
from torg.contexts.order.contracts import GetHistory, GetOrder, GetSaga
from torg.contexts.payment.contracts import GetBalance, ListPayments
from torg.contexts.review.contracts import ListReviews, ProductReviews
from torg.contexts.shipping.contracts import ListDeliveries
from torg.contexts.user.contracts import GetProfile, ListAddresses
from torg.contexts.web.adapters.categories_memory import MemoryCategories
from torg.contexts.web.tests.house import CART_ID, ORDER_ID, Shop, a_cart, dollars, found, listed, product, visible
from torg.kit.errors import NotFound
from torg.kit.values import Language

EVIL = '"><script>alert(1)</script>'


# ---------------------------------------------------------------- what they show


async def test_product_page_shows_what_a_buyer_wants_to_know(shop: Shop) -> None:
    words = visible(await shop.get("/products/milk"))
    for fact in ("Milk, 1 l", "$1.29", "$1.59", "You save $0.30", "Only 7 left", "4.5", "2 reviews", "3.2 %", "Good milk.", "Often bought together", "Similar"):
        assert fact in words, fact


async def test_facets_sorts_and_cursor_keep_what_was_chosen(shop: Shop) -> None:
    answer = await shop.get("/search?query=milk&brand=Fjord&price_max=2.50&sort=price")
    asked = shop.told(ListProducts)[-1]
    assert (asked.query, asked.brand, asked.price_max, asked.sort) == ("milk", "Fjord", 250, "price")
    text = answer.body.decode()
    assert "/search?query=milk&amp;brand=Fjord&amp;price_max=2.50&amp;sort=price&amp;cursor=next" in text
    assert "/search?query=milk&amp;price_max=2.50&amp;sort=price" in text  # without the brand


async def test_filters_that_cannot_be_read_are_dropped(shop: Shop) -> None:
    answer = await shop.get("/catalog/dairy?rating_min=lots&sort=upwards")
    assert (answer.status, answer.headers["location"]) == (303, "/catalog/dairy")


async def test_what_was_searched_for_instead_is_said(shop: Shop) -> None:
    shop.answers(ListProducts, lambda _: found(listed(), corrected_query="milk"))
    assert "Nothing was found for “mlik”. These are results for “milk”." in visible(await shop.get("/search?query=mlik"))


async def test_nothing_found_leads_on(shop: Shop) -> None:
    assert "Nothing on this shelf" in visible(await shop.get("/search?query=nothing"))


async def test_cart_says_what_is_gone_and_what_costs_something_else(shop: Shop) -> None:
    gone = CartItem(product_id="a", name="A", quantity=9, unit_price=dollars(100), line_total=dollars(900), available=False)
    dearer = CartItem(product_id="b", name="B", quantity=1, unit_price=dollars(120), line_total=dollars(120), available=True, price_changed_from=dollars(100))
    shop.answers(GetCart, lambda _: a_cart(items=(gone, dearer)))
    shop.answers(ListProductsById, lambda _: (listed("a", quantity=3),))
    answer = await shop.get("/cart", member=True)
    words = visible(answer)
    assert "Only 3 left: please take fewer." in words
    assert "$1.00 before, $1.20 now" in words
    assert 'href="/checkout"' not in answer.body.decode()


async def test_times_and_money_and_plurals_follow_the_language(shop: Shop) -> None:
    russian = visible(await shop.get("/products/milk", accept_language="ru"))
    assert "1,29 $" in russian.replace("\xa0", " ")
    assert "2 отзыва" in russian
    shop.answers(ListProducts, lambda _: found(listed(), total=21))
    assert "21 товар " in visible(await shop.get("/search?query=x", accept_language="ru"))
    assert shop.told(GetProduct)[-1].language is Language.RU


async def test_chosen_language_stays_in_a_cookie_and_wins(shop: Shop) -> None:
    answer = await shop.post("/language", {"language": "ru", "back": "/cart"}, accept_language="en")
    assert (answer.status, answer.headers["location"]) == (303, "/cart")
    assert answer.headers["set-cookie"].startswith("language=ru;")
    assert "Корзина" in visible(await shop.get("/cart", accept_language="en", cookie="language=ru"))


async def test_languages_that_the_shop_does_not_speak_get_english(shop: Shop) -> None:
    assert '<html lang="en">' in (await shop.get("/", accept_language="fr-FR")).body.decode()


# ---------------------------------------------------------------- what they survive


async def test_product_page_goes_without_reviews_recommendations_and_notifications(shop: Shop) -> None:
    shop.is_away(ListReviews, Recommend, ListNotifications, GetRecommendations, ListProducts, ListCategories)
    answer = await shop.get("/products/milk", member=True)
    assert answer.status == 200
    for words in ("Add to cart", "Reviews cannot be shown just now.", "Not every suggestion can be shown just now."):
        assert words in visible(answer)
    assert "Отзывы сейчас не показать." in visible(await shop.get("/products/milk", accept_language="ru"))


async def test_half_of_the_recommendations_is_shown_and_the_lack_of_the_rest_is_said(shop: Shop) -> None:
    shop.answers(Recommend, lambda _: RecommendedProducts((), (listed("kefir", "Kefir"),), ("bought_together",)))
    words = visible(await shop.get("/products/milk"))
    assert "Kefir" in words
    assert "Not every suggestion can be shown" in words


async def test_without_search_departments_and_categories_lead_on(shop: Shop) -> None:
    shop.is_away(ListProducts)
    found = await shop.get("/search?query=milk")
    assert (found.status, found.headers["retry-after"]) == (503, "5")
    assert "The search is taking a break" in visible(found)
    assert 'href="/catalog/food"' in found.body.decode()
    department = await shop.get("/catalog/food")
    assert department.status == 200
    assert 'href="/catalog/dairy"' in department.body.decode()
    assert "here is some of what there is" in visible(department)
    assert "Butter" in visible(department)
    shop.is_away(ListShelf)
    assert (await shop.get("/catalog/food")).status == 503
    home = await shop.get("/")
    assert home.status == 200
    assert "What everybody buys cannot be shown just now." in visible(home)
    assert 'href="/catalog/food"' in home.body.decode()


async def test_without_notifications_their_page_says_so_and_all_others_stay(shop: Shop) -> None:
    shop.is_away(ListNotifications, GetPreferences)
    told = await shop.get("/notifications", member=True)
    assert told.status == 503
    assert "Notifications cannot be shown just now." in visible(told)
    assert (await shop.get("/cart", member=True)).status == 200


async def test_a_defect_in_what_a_page_can_do_without_is_no_defect_of_the_page(shop: Shop) -> None:
    def fails(_: object) -> None:
        raise ZeroDivisionError("a defect of somebody else's")

    shop.answers(ListReviews, fails)
    answer = await shop.get("/products/milk")
    assert answer.status == 200
    assert "Reviews cannot be shown just now." in visible(answer)


async def test_departments_keep_their_pictures_while_the_search_is_away(shop: Shop) -> None:
    categories = MemoryCategories(shop.deps.call, shop.deps.spare)
    before = await categories.pictures(Language.EN)
    assert before == {"food": "/pictures/milk.svg"}
    shop.is_away(ListProducts)
    categories._look_again = 0
    assert await categories.pictures(Language.EN) == before


async def test_slow_reviews_are_not_waited_for(shop: Shop) -> None:
    async def slowly(_: object) -> ProductReviews:
        await asyncio.sleep(30)
        raise AssertionError("nobody waits this long")

    shop.answers(ListReviews, slowly)
    for _ in range(7):
        answer = await asyncio.wait_for(shop.get("/products/milk"), 20)
        assert answer.status == 200
    assert len(shop.told(ListReviews)) == 5, "after that they are left alone for a while"


async def test_cart_goes_without_pictures_and_checkout_without_wallet_and_saved_addresses(shop: Shop) -> None:
    shop.is_away(ListProductsById, ListNotifications, ListAddresses, GetBalance, ListCategories, ListReviews)
    assert "Check out" in visible(await shop.get("/cart", member=True))
    answer = await shop.get("/checkout", member=True)
    assert answer.status == 200
    assert "Place the order" in visible(answer)
    shop.is_away(GetProfile)
    assert "Name the city" in visible(await shop.get("/checkout", member=True))


async def test_order_page_goes_without_history_saga_parcels_and_payments(shop: Shop) -> None:
    shop.is_away(GetHistory, GetSaga, ListDeliveries, ListPayments, ListProductsById, ListNotifications)
    assert "Confirmed" in visible(await shop.get(f"/orders/{ORDER_ID}", member=True))


async def test_home_page_goes_without_search(shop: Shop) -> None:
    shop.is_away(ListProducts)
    assert "Departments" in visible(await shop.get("/"))
    shop.is_away(ListCategories)
    assert (await shop.get("/")).status == 200


async def test_page_that_needs_what_is_away_says_so_and_when_to_come_back(shop: Shop) -> None:
    shop.is_away(GetProduct)
    answer = await shop.get("/products/milk")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert "This does not work right now" in visible(answer)


async def test_unknown_address_is_a_page_for_people_and_a_document_for_programs(shop: Shop) -> None:
    assert "Nothing on this shelf" in visible(await shop.get("/nothing-here"))
    program = await shop.get("/nothing-here", accept="application/json")
    assert program.json["code"] == "route.not_found"
    assert (await shop.get("/api/v1/nothing")).headers["content-type"] == "application/problem+json"


async def test_another_persons_order_is_not_found(shop: Shop) -> None:
    def refuse(_: object) -> None:
        raise NotFound("order.not_found", "there is no order")

    shop.answers(GetOrder, refuse)
    answer = await shop.get(f"/orders/{ORDER_ID}", member=True)
    assert answer.status == 404
    assert "no such order of yours" in visible(answer)


# ---------------------------------------------------------------- what they never let through


async def test_whatever_people_write_is_escaped(shop: Shop) -> None:
    shop.answers(GetProduct, lambda _: product("milk", EVIL, description=EVIL, brand=EVIL))
    for path in ("/products/milk", "/search?query=%22%3E%3Cscript%3Ealert(1)%3C/script%3E"):
        text = (await shop.get(path)).body.decode()
        assert "<script>alert" not in text
        assert "&lt;script&gt;" in text


async def test_policy_allows_no_inline_code_and_no_framing(shop: Shop) -> None:
    policy = (await shop.get("/")).headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_form_of_another_site_is_refused_also_without_a_session(shop: Shop) -> None:
    for path in ("/sign-in", "/cart/items", "/language"):
        answer = await shop.post(path, {"product_id": "milk"}, sec_fetch_site="cross-site")
        assert answer.status == 403
        assert "This form came from another site." in visible(answer)
    assert shop.told(PutItem) == []


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_nobody_is_sent_on_to_another_site(shop: Shop, target: str) -> None:
    answer = await shop.post("/sign-in", {"email": "a@b.cc", "password": "x", "next": target})
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def test_members_pages_are_kept_by_nobody(shop: Shop) -> None:
    assert (await shop.get("/orders", member=True)).headers["cache-control"] == "private, no-store"


async def test_page_asked_for_with_a_token_shows_nobodys_data_for_the_edge_may_keep_it(shop: Shop) -> None:
    assert ">Profile<" not in (await shop.get("/products/milk", authorization="Bearer anna")).body.decode()
    assert shop.told(ListReviews)[-1].viewer is None


# ---------------------------------------------------------------- the cart's forms


async def test_guest_gets_a_cart_to_come_back_to(shop: Shop) -> None:
    answer = await shop.post("/cart/items", {"product_id": "milk", "quantity": "3", "back": "/products/milk"})
    assert (answer.status, answer.headers["location"]) == (303, "/products/milk")
    assert shop.told(PutItem)[-1].quantity == 5  # two were in it already
    assert (await shop.get("/cart", cookie=f"cart={CART_ID}; said=cart_added")).body.decode().count("Added to the cart.") == 1


async def test_line_is_changed_and_taken_out(shop: Shop) -> None:
    assert (await shop.post("/cart/items/milk", {"quantity": "4"})).status == 303
    assert shop.told(PutItem)[-1].quantity == 4
    assert (await shop.post("/cart/items/milk", {"set": "5", "quantity": "4"})).status == 303
    assert shop.told(PutItem)[-1].quantity == 5
    await shop.post("/cart/items/milk", {"quantity": "4", "remove": "1"})
    assert shop.told(RemoveItem)[-1].product_id == "milk"


@pytest.mark.parametrize("typed", ["", "-1", "100", "many", "1.5"])
async def test_quantity_out_of_bounds_is_refused_beside_its_line(shop: Shop, typed: str) -> None:
    answer = await shop.post("/cart/items/milk", {"quantity": typed})
    assert answer.status == 422
    assert 'role="alert"' in answer.body.decode()
    assert shop.told(PutItem) == []


# ---------------------------------------------------------------- files


async def test_static_files_are_named_for_their_content_and_kept_for_ever(shop: Shop) -> None:
    name = next(name for name in shop.deps.statics if name.endswith(".css"))
    plain = await shop.get(f"/static/{name}")
    assert "immutable" in plain.headers["cache-control"]
    packed = await shop.get(f"/static/{name}", accept_encoding="gzip")
    assert gzip.decompress(packed.body) == plain.body
    assert (await shop.get("/static/..%2Fports.py")).status == 404


async def test_modules_import_each_other_by_the_names_they_are_served_under(shop: Shop) -> None:
    order_js = next(static for name, static in shop.deps.statics.items() if name.startswith("order."))
    live_js = next(name for name in shop.deps.statics if name.startswith("live."))
    assert f'from "./{live_js}"'.encode() in order_js.body


async def test_security_contact_does_not_expire_today(shop: Shop) -> None:
    text = (await shop.get("/.well-known/security.txt")).body.decode()
    assert "Contact: mailto:" in text
    assert "Expires: 2026-08-28T00:00:00Z" in text
