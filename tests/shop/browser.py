"""A person's browser, over HTTP: it keeps cookies, fills in forms, and follows links when it is told to."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Self
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx

from tests.shop.goods import PASSWORD
from tests.shop.opening import Shop


class Form(HTMLParser):
    """The hidden fields of the page's form."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("type") == "hidden":
            self.fields[given["name"] or ""] = given.get("value") or ""


class Browser:
    """A person's, which keeps cookies and follows links by hand."""

    def __init__(self, shop: Shop) -> None:
        self.at = shop.address
        self.http = httpx.AsyncClient(base_url=shop.address, headers={"sec-fetch-site": "same-origin"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def sign_in(self, email: str, page: httpx.Response | None = None) -> str:
        """Where the shop sends them then."""
        fields = Form((page or await self.http.get("/sign-in")).text).fields
        reply = await self.http.post("/sign-in", data={**fields, "email": email, "password": PASSWORD})
        assert reply.status_code == 303, reply.text
        return str(reply.headers["location"])

    async def let_in(self, url: str, answer: str = "allow") -> str:
        """Signed in already: says yes where they are asked; gives where that leads."""
        page = await self.http.get(url)
        if page.status_code == 303:
            return str(page.headers["location"])
        assert page.status_code == 200, page.text
        reply = await self.http.post("/oauth/authorize", data={**Form(page.text).fields, "answer": answer})
        assert reply.status_code == 303, reply.text
        return str(reply.headers["location"])

    async def token(self) -> dict[str, str]:
        """What every form of theirs carries."""
        return {"form_token": Form((await self.http.get("/profile")).text).fields["form_token"]}


def answered(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
