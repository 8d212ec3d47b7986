"""Every page is reached by links and forms of others, and each keeps the rules of all of them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urldefrag

import pytest

from torg.contexts.web.tests.house import ORDER_ID, Shop
from torg.kit.testing.http import Answer

LABELLED = frozenset({"input", "select", "textarea"})
SERVED_BY_OTHERS = ("/pictures/", "/openapi.json", "/asyncapi.json", "/api/")
SEEDS = ["/", f"/orders/{ORDER_ID}/pay", "/checkout"]


class Page(HTMLParser):
    """What a crawler wants to know of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.forms: set[tuple[str, str]] = set()
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.faults: list[str] = []
        self._labels: set[str] = set()
        self._fields: list[dict[str, str]] = []
        self._inside_label = False
        self.feed(text)
        self.faults += [f"no label: {field}" for field in self._fields if field.get("id") not in self._labels]
        self.faults += [f"id twice: {id}" for id in set(self.ids) if self.ids.count(id) > 1]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.ids.append(given["id"])
        if "style" in given or any(name.startswith("on") for name in given) or tag == "style" or (tag == "script" and "src" not in given):
            self.faults.append(f"inline style or script in <{tag}>")
        if tag == "a":
            self.links.add(given.get("href", ""))
        elif tag == "form":
            self.forms.add((given.get("method", "get").upper(), given.get("action", "")))
        elif tag == "label":
            self._inside_label = True
            self._labels.add(given.get("for", ""))
        elif tag in LABELLED and given.get("type") != "hidden" and not self._inside_label and "aria-label" not in given:
            self._fields.append(given)
        elif tag == "img" and "alt" not in given:
            self.faults.append(f"no alt: {given.get('src')}")
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._inside_label = False


def _rules(path: str, answer: Answer, language: str) -> list[str]:
    text = answer.body.decode()
    page = Page(text)
    faults = [*page.faults]
    faults += [] if page.headings.count(1) <= 1 else ["more than one h1"]
    faults += [] if f'<html lang="{language}">' in text else ["says another language"]
    faults += [] if "content-security-policy" in answer.headers else ["no policy"]
    faults += [word for word in ("None", "Undefined", "{{", "{%") if word in re.sub(r'lang="en".*?</main>', "", text, flags=re.DOTALL)]
    return [f"{path}: {fault}" for fault in faults]


@pytest.mark.parametrize("member", [True, False], ids=["member", "guest"])
@pytest.mark.parametrize("language", ["en", "ru"])
async def test_all_that_can_be_reached_answers_and_keeps_the_rules(shop: Shop, member: bool, language: str) -> None:
    waiting, seen, forms, faults = [*SEEDS], set[str](), set[tuple[str, str]](), list[str]()
    while waiting:
        path = waiting.pop()
        answer = await shop.get(path, member=member, accept_language=language)
        if answer.status == 303:
            links = {answer.headers["location"]}
        elif answer.headers["content-type"].startswith("text/html"):
            faults += _rules(path, answer, language)
            page = Page(answer.body.decode())
            links, forms = page.links, forms | page.forms
        else:
            links = set()
        if answer.status not in (200, 303) and not path.startswith(("/products/kefir", "/products/bread")):
            faults.append(f"{path}: {answer.status}")
        targets = {urldefrag(link)[0] for link in links if link.startswith("/") and not link.startswith(SERVED_BY_OTHERS)}
        waiting += sorted(targets - seen - set(waiting))
        seen |= targets | {path}
        assert len(seen) < 300, "the crawl does not come to an end"
    for method, action in sorted(forms):
        served = shop.app._router.find(action)
        if not served or method not in served[0]:
            faults.append(f"a form goes to {method} {action}, which nothing answers")
    assert faults == []
    own = {"/orders", "/profile", "/wallet", "/notifications"} if member else {"/sign-in", "/register"}
    assert own | {"/catalog", "/cart", "/docs", "/docs/events", "/products/milk"} <= {urldefrag(path)[0].partition("?")[0] for path in seen}
