"""Answers kept at the gateway: given again, asked anew, purged, and nobody's but everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from torg.contexts.gateway.adapters.answers_memory import MemoryAnswers
from torg.contexts.gateway.adapters.keeping_asgi import AGAIN, ALONE, ASIDE, Keeper
from torg.contexts.gateway.model import Row
from torg.contexts.gateway.model.keeping import LARGEST, SETTLING, Keep
from torg.contexts.gateway.model.paths import tree
from torg.kit.http.cache import CONTROL, FOR_GATEWAY, TAGS

PAGE = "/products/1"
KEEPS = {"/products/*": Keep(fresh=30, stale=10, away=60), "/shelves/*": Keep(fresh=30, cookies="ignored")}
AGREED = [(CONTROL, b"max-age=60"), (TAGS, b"product:1 catalog"), (b"etag", b'"1"'), (b"content-type", b"text/plain")]
ROW = Row(context="catalog")
Answering = Callable[[Any, Any], Awaitable[None]]


@dataclass
class House:
    """A gateway in front of a context that says what is on the shelf, as fast as it is let."""

    shelf: bytes = b"cup"
    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: list(AGREED))
    hearing: bool = True
    now: float = 1000.0
    asked: list[Any] = field(default_factory=list)
    slow: asyncio.Event | None = None
    breaks: bool = False

    def __post_init__(self) -> None:
        self.answers = MemoryAnswers(1 << 20, lambda: self.now)
        self.keeper = Keeper(self.proxy, tree(KEEPS), self.answers, lambda: self.hearing, now=lambda: self.now)

    async def proxy(self, _: Row, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        shelf, status, headers = self.shelf, self.status, list(self.headers)
        if self.slow:
            await self.slow.wait()
        if self.breaks:
            raise ConnectionError("the context went away")
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": shelf})

    async def get(self, path: str = PAGE, method: str = "GET", query: bytes = b"", **headers: str) -> Given:
        given = Given()
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": "shop", **headers}.items()]
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query, "headers": named}
        await self.keeper(ROW, scope, _nobody, given)
        return given


class Given:
    """What a client is answered."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, dict[bytes, bytes](), b""

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body += message["body"]

    @property
    def how(self) -> str:
        return self.headers.get(b"cache-status", b"").decode()


async def _nobody() -> Any:
    raise AssertionError("the client of a kept answer is not listened to")


@pytest.fixture
def house() -> House:
    return House()


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_second_is_given_what_the_first_was(house: House):
    first = await house.get()
    house.now += 12
    second = await house.get()
    assert (first.body, second.body, len(house.asked)) == (b"cup", b"cup", 1)
    assert first.how == "Torg; fwd=miss; fwd-status=200; stored"
    assert second.how == "Torg; hit; ttl=18"
    assert (second.headers[b"age"], second.headers[b"etag"]) == (b"12", b'"1"')


async def test_what_a_context_tells_the_gateway_is_told_to_nobody_else(house: House):
    for given in (await house.get(), await house.get()):
        assert not {CONTROL, TAGS} & given.headers.keys()


async def test_a_client_that_has_it_is_told_so_without_asking(house: House):
    await house.get()
    for known in ('"1"', 'W/"1"', '"0", "1"', "*"):
        given = await house.get(if_none_match=known)
        assert (given.status, given.body) == (304, b"")
    assert (await house.get(if_none_match='"11"')).status == 200
    assert len(house.asked) == 1


async def test_a_hundred_at_once_are_one_question(house: House):
    house.slow = asyncio.Event()
    asking = [asyncio.ensure_future(house.get()) for _ in range(100)]
    await turns()
    house.slow.set()
    found = await asyncio.gather(*asking)
    assert {given.body for given in found} == {b"cup"}
    assert len(house.asked) == 1
    assert sum("collapsed" in given.how for given in found) == 99


async def test_whoever_asked_first_may_leave_without_harm_to_the_others(house: House):
    house.slow = asyncio.Event()
    first, second = asyncio.ensure_future(house.get()), asyncio.ensure_future(house.get())
    await turns()
    first.cancel()
    await turns()
    house.slow.set()
    assert (await second).body == b"cup"
    assert len(house.asked) == 1


async def test_where_asking_for_all_fails_each_asks_for_itself(house: House):
    house.slow, house.breaks = asyncio.Event(), True
    asking = [asyncio.ensure_future(house.get()) for _ in range(3)]
    await turns()
    house.slow.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
    house.breaks = False
    assert (await house.get()).body == b"cup"


async def test_a_refusal_is_that_of_all_who_asked_with_the_first_and_of_nobody_after_them(house: House):
    house.slow, house.status, house.headers = asyncio.Event(), 404, []
    asking = [asyncio.ensure_future(house.get()) for _ in range(5)]
    await turns()
    house.slow.set()
    assert {given.status for given in await asyncio.gather(*asking)} == {404}
    assert len(house.asked) == 1
    house.status, house.headers = 200, list(AGREED)
    assert (await house.get()).status == 200


@pytest.mark.parametrize("name", ["authorization", "x_api_key", "cookie", "range", "if_match"])
async def test_who_says_who_they_are_or_wants_a_part_is_answered_for_themselves(house: House, name: str):
    await house.get()
    house.shelf = b"theirs"
    assert (await house.get(PAGE, "GET", b"", **{name: "x"})).body == b"theirs"
    assert (await house.get()).body == b"cup"


async def test_a_change_is_never_answered_from_what_is_kept(house: House):
    await house.get()
    await house.get(method="POST")
    assert [scope["method"] for scope in house.asked] == ["GET", "POST"]


async def test_where_cookies_mean_nothing_the_context_does_not_see_them(house: House):
    await house.get("/shelves/1", cookie="session=secret")
    await house.get("/shelves/1")
    assert len(house.asked) == 1
    assert b"cookie" not in dict(house.asked[0]["headers"])
    assert house.asked[0][FOR_GATEWAY]


async def test_a_language_chosen_by_cookie_is_another_answer(house: House):
    await house.get("/shelves/1", accept_language="en")
    await house.get("/shelves/1", cookie="a=b; language=ru", accept_language="en")
    await house.get("/shelves/1", accept_language="ru-RU,ru;q=0.9")
    assert [dict(scope["headers"])[b"accept-language"] for scope in house.asked] == [b"en", b"ru"]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-type", b"text/html")],
        [(b"cache-control", b"private, max-age=60")],
        [(b"cache-control", b"no-store")],
        [(b"cache-control", b"public, max-age=0")],
        [(b"cache-control", b"max-age=60")],
        [*AGREED, (b"set-cookie", b"session=secret")],
        [*AGREED, (b"vary", b"accept, *")],
    ],
)
async def test_what_is_not_everybodys_is_not_kept(house: House, headers: list[tuple[bytes, bytes]]):
    house.headers = headers
    await house.get()
    house.shelf = b"another's"
    assert (await house.get()).body == b"another's"


async def test_what_is_not_to_be_kept_is_asked_for_side_by_side(house: House):
    house.headers = []
    await house.get()
    house.slow = asyncio.Event()
    asking = [asyncio.ensure_future(house.get()) for _ in range(3)]
    await turns()
    assert len(house.asked) == 2 + 3
    assert FOR_GATEWAY not in house.asked[-1]
    house.slow.set()
    await asyncio.gather(*asking)
    house.headers, house.now = list(AGREED), house.now + ASIDE + 1
    await house.get()
    assert (await house.get()).how.startswith("Torg; hit")


async def test_public_answers_are_kept_as_long_as_they_say(house: House):
    house.headers = [(b"cache-control", b"public, max-age=20"), (b"age", b"5")]
    await house.get()
    assert (await house.get()).how == "Torg; hit; ttl=15"


async def test_answers_that_differ_by_a_header_are_kept_apart(house: House):
    house.headers = [*AGREED, (b"vary", b"Accept-Encoding, Accept-Language")]
    await house.get(accept_encoding="gzip, br")
    house.shelf = b"plain"
    assert (await house.get()).body == b"plain"
    assert (await house.get(accept_encoding="br, gzip")).body == b"cup"
    assert (await house.get(accept_encoding="identity")).body == b"plain"
    assert len(house.asked) == 2


async def test_other_hosts_queries_and_paths_are_other_questions(house: House):
    await house.get()
    await house.get(host="elsewhere")
    await house.get(query=b"page=2")
    await house.get("/products/2")
    assert len(house.asked) == 4


async def test_an_old_answer_is_given_while_it_is_asked_anew_by_one(house: House):
    await house.get()
    house.now, house.shelf, house.slow = house.now + 35, b"mug", asyncio.Event()
    found = [await house.get() for _ in range(3)]
    assert {(given.body, given.how) for given in found} == {(b"cup", "Torg; hit; ttl=-5")}
    await turns()
    assert len(house.asked) == 2
    house.slow.set()
    await turns()
    assert (await house.get()).body == b"mug"


async def test_too_old_an_answer_is_given_to_nobody_while_the_context_answers(house: House):
    await house.get()
    house.now, house.shelf = house.now + 41, b"mug"
    assert (await house.get()).body == b"mug"


async def test_an_old_answer_is_better_than_none_for_a_while(house: House):
    await house.get()
    house.now, house.status, house.headers = house.now + 45, 503, []
    given = await house.get()
    assert (given.status, given.body, given.how) == (200, b"cup", "Torg; hit; ttl=-15; detail=away")
    await house.get()
    assert len(house.asked) == 2, "who has just failed is left alone for a moment"
    house.now += AGAIN + 0.1
    await house.get()
    assert len(house.asked) == 3
    house.now += 60
    assert (await house.get()).status == 503


async def test_what_has_come_back_is_shown_again(house: House):
    await house.get()
    house.now, house.status = house.now + 45, 503
    await house.get()
    house.now, house.status, house.shelf = house.now + AGAIN + 0.1, 200, b"mug"
    assert (await house.get()).body == b"mug"


async def test_nobody_is_given_what_was_purged_not_even_while_the_context_is_away(house: House):
    await house.get()
    house.answers.purge("product:1")
    house.status, house.headers = 503, []
    assert (await house.get()).status == 503


async def test_other_tags_do_not_matter(house: House):
    await house.get()
    house.answers.purge("product:2")
    assert (await house.get()).how.startswith("Torg; hit")


async def test_what_was_asked_for_before_a_purge_is_not_kept_and_not_given_to_who_comes_after(house: House):
    house.slow = asyncio.Event()
    before = asyncio.ensure_future(house.get())
    await turns()
    house.answers.purge("product:1")
    house.shelf = b"mug"
    after = asyncio.ensure_future(house.get())
    await turns()
    house.slow.set()
    assert (await before).body == b"cup"
    assert (await after).body == b"mug"
    assert (await house.get()).body == b"mug"


async def test_two_changes_while_it_is_made_hide_neither(house: House):
    house.slow = asyncio.Event()
    before = asyncio.ensure_future(house.get())
    await turns()
    house.answers.purge("product:1")
    house.shelf = b"mug"
    between = asyncio.ensure_future(house.get())
    await turns()
    house.answers.purge("product:1")
    house.slow.set()
    assert (await before).body == b"cup"
    assert (await between).body == b"mug"


async def test_just_after_a_change_answers_are_kept_for_a_moment_only(house: House):
    house.answers.purge("product:1")
    house.now += SETTLING / 2
    await house.get()
    house.shelf = b"mug"
    assert (await house.get()).body == b"cup"
    house.now += SETTLING / 2
    assert (await house.get()).body == b"mug"
    house.now += 20
    assert (await house.get()).how.startswith("Torg; hit")


async def test_while_changes_are_not_heard_of_answers_are_believed_for_a_moment(house: House):
    await house.get()
    house.hearing, house.shelf = False, b"mug"
    house.now += ALONE / 2
    assert (await house.get()).body == b"cup"
    house.now += ALONE
    assert (await house.get()).body == b"mug"
    house.now, house.status = house.now + ALONE, 503
    assert (await house.get()).body == b"mug", "nobody answers: what there is, is better than nothing"


async def test_what_is_too_large_is_handed_on_and_not_kept(house: House):
    house.shelf = b"x" * (LARGEST + 1)
    assert len((await house.get()).body) == LARGEST + 1
    assert house.answers.counts() == (0, 0)


async def test_a_head_is_answered_from_what_is_kept(house: House):
    await house.get()
    given = await house.get(method="HEAD")
    assert (given.status, given.body, given.headers[b"content-length"]) == (200, b"", b"3")
    assert len(house.asked) == 1


async def test_what_ends_the_gateway_ends_nobodys_request(house: House):
    house.slow = asyncio.Event()
    asking = asyncio.ensure_future(house.get())
    await turns()
    closing = asyncio.ensure_future(house.keeper.close())
    await turns()
    house.slow.set()
    await closing
    assert (await asking).body == b"cup"
