"""What forms carry, so that no other site's page can send them."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import DictLoader, Environment, StrictUndefined

from torg.kit.auth import Identity
from torg.kit.errors import Forbidden
from torg.kit.http import Request, Response
from torg.kit.http.form_tokens import FormTokens, WithTokens

ANNA, BORIS = Identity("anna", frozenset(), "s1"), Identity("boris", frozenset(), "s2")


def a_request(who: Identity | None = None, browser: str = "", secure: bool = False) -> Request:
    cookies = Response().with_cookie("form", browser, 60, secure).headers[0][1].partition(b";")[0] if browser else b""
    return Request("POST", "/", b"", {b"cookie": cookies}, _unread, "r", identity=who, secure=secure)


async def _unread() -> Any:
    raise AssertionError("nobody reads this")


def believed(tokens: FormTokens, request: Request, given: str, leads_in: bool = False) -> bool:
    try:
        tokens.check(request, given, leads_in)
    except Forbidden:
        return False
    return True


def test_a_members_form_is_good_in_their_session_alone():
    tokens = FormTokens("secret")
    token = tokens.make(a_request(ANNA))
    assert believed(tokens, a_request(ANNA), token)
    assert not believed(tokens, a_request(Identity("anna", frozenset(), "s9")), token)
    for given in ("", token[:-1], token.upper(), tokens.make(a_request()), tokens.make(a_request(BORIS)), tokens.make(a_request(browser="session s1")), "é"):
        assert not believed(tokens, a_request(ANNA), given)


def test_a_form_that_opens_a_session_is_good_in_the_browser_it_was_made_for():
    tokens = FormTokens("secret")
    own = tokens.make(a_request(browser="b1"))
    assert believed(tokens, a_request(browser="b1"), own, leads_in=True)
    for other in (a_request(browser="b2"), a_request()):
        assert not believed(tokens, other, own, leads_in=True)
    nobodys = tokens.make(a_request())
    assert not believed(tokens, a_request(), nobodys, leads_in=True)
    assert not believed(tokens, a_request(browser="b1"), nobodys, leads_in=True)
    assert believed(tokens, a_request(browser="b1"), nobodys), "a kept page's form fills a guest's cart"


def test_a_secret_that_is_replaced_is_believed_for_as_long_as_it_is_named():
    old = FormTokens("old").make(a_request(ANNA))
    assert believed(FormTokens("new,old"), a_request(ANNA), old)
    assert not believed(FormTokens("new"), a_request(ANNA), old)


@pytest.mark.parametrize("secure", [True, False])
def test_cookies_are_bound_to_the_host_where_the_shop_is_served_over_https(secure: bool):
    set_cookie = Response().with_cookie("session", "x", 60, secure).headers[0][1].decode()
    assert set_cookie.startswith("__Host-session=" if secure else "session=")
    assert ("Secure" in set_cookie) is secure
    assert "Path=/;" in set_cookie
    assert "Domain" not in set_cookie
    headers = {b"cookie": b"session=planted-by-a-neighbour; __Host-session=ours" if secure else b"session=ours"}
    assert Request("GET", "/", b"", headers, _unread, "r", secure=secure).cookie("session") == "ours"


def test_every_form_of_a_template_carries_the_token():
    source = """<form class="first" method="post" action="/a/{{ {"x>": "y"}["x>"] }}" id="{% if n > 1 %}many{% endif %}"><button>go</button></form>
        <form action="/search"></form><form method="post"></form>"""
    environment = Environment(loader=DictLoader({"page": source}), undefined=StrictUndefined, autoescape=True, extensions=[WithTokens])
    text = environment.get_template("page").render(form_token="t0k", n=2)
    assert text.count('<input type="hidden" name="form_token" value="t0k">') == 2
    assert '<form class="first" method="post" action="/a/y" id="many"><input' in text
    assert '<form action="/search"></form>' in text
