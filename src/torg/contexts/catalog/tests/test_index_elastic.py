"""What only the index on Elasticsearch has: several processes, an alias that moves, an engine that may be away."""

from __future__ import annotations

import asyncio
import json
import urllib.error
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.adapters.index_elastic import Address, BadAddress, ElasticProductIndex, Patience
from torg.contexts.catalog.adapters.index_elastic.index import MOST_WAITING
from torg.contexts.catalog.adapters.index_opening import open_index
from torg.contexts.catalog.ports import ProductChange, ProductDocument, SearchRequest
from torg.contexts.catalog.tests.elastic import OnElastic, ask
from torg.contexts.catalog.tests.house import House, new_product, open_house
from torg.contexts.catalog.tests.index_products import PRODUCTS, ids, product, put
from torg.contexts.inventory.contracts import StockChanged
from torg.engines import run
from torg.engines.catalogue import named
from torg.kit.errors import Unavailable
from torg.kit.settings import BadSettings
from torg.kit.testing.engines import served
from torg.kit.testing.waiting import until

Opened = Callable[..., Awaitable[ElasticProductIndex]]


@pytest.fixture(scope="module")
def elastic(elastic_url: str) -> Iterator[OnElastic]:
    elastic = OnElastic(elastic_url)
    yield elastic
    elastic.clear()


@pytest.fixture
async def opened(elastic: OnElastic, tmp_path: Path) -> AsyncIterator[Opened]:
    """Opens the same index again and again, each time as another process."""
    open_now: list[ElasticProductIndex] = []

    async def open_(patience: Patience | None = None) -> ElasticProductIndex:
        open_now.append(await elastic.open(tmp_path, patience))
        return open_now[-1]

    yield open_
    for index in open_now:
        await index.close()


@asynccontextmanager
async def running(*indexes: ElasticProductIndex) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(index.run()) for index in indexes]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


# several processes


async def test_one_process_feeds_until_it_closes(opened: Opened) -> None:
    one, other = await opened(), await opened()
    assert (await one.claim(), await other.claim(), await one.claim()) == (True, False, True)
    await put(one, product("1", "Pizza"))
    assert await ids(other, "pizza") == ["1"]
    with pytest.raises(Unavailable, match="another process feeds"):
        await put(other, product("2", "Boots"))
    await one.close()
    assert await other.claim()
    assert await ids(other) == ["1"]


async def test_a_process_that_gives_no_sign_is_replaced(opened: Opened) -> None:
    gone, other = await opened(), await opened()
    await gone.claim()
    await gone.put([product("1", "Pizza")], position=5)
    await gone.flush()
    assert not await other.claim()
    await until(other.claim)
    assert other.position == 5


async def test_a_process_that_shows_it_lives_is_not_replaced(opened: Opened) -> None:
    one, other = await opened(), await opened()
    await one.claim()
    async with running(one, other):
        for _ in range(50):  # longer than a lease
            assert not await other.claim()
            await asyncio.sleep(0.1)


async def test_a_process_in_the_middle_of_a_long_write_is_not_replaced(opened: Opened) -> None:
    one, other = await opened(), await opened()
    await one.claim()
    async with running(one):
        async with one._writing:
            await one.put([product("1", "Pizza")], position=5)
            for _ in range(50):  # longer than a lease
                assert not await other.claim()
                await asyncio.sleep(0.1)
        await one.flush()  # while it runs: a sign of life that is cancelled may come to be there all the same, and be taken for somebody else's
        assert one.position == 5


async def test_what_comes_in_after_another_process_has_taken_over_is_shown_by_nobody(opened: Opened) -> None:
    one, other = await opened(), await opened()
    await one.claim()
    await put(one, product("1", "Pizza", price=119))
    await other.claim(at_once=True)
    await put(other, product("1", "Pizza", price=777))

    async def has_heard() -> bool:
        return not await one.claim()

    await until(has_heard)
    await one.put([product("1", "Pizza", price=119)])  # of a look at the store that had begun before

    async def shows_the_new_price() -> bool:
        return [card.price for card in (await one.search(SearchRequest())).items] == [777]

    async with running(one):
        await until(shows_the_new_price)


async def test_other_processes_hear_how_far_the_index_is(opened: Opened) -> None:
    one, other = await opened(), await opened()
    await one.rebuild(PRODUCTS[:5], position=7)
    assert await other.check() == ""
    async with running(other):
        await one.put([product("late", "Pizza")], position=8)
        await one.flush()
        await until(lambda: asyncio.sleep(0, other.position == 8))


async def test_late_updates_of_a_process_that_was_held_up_do_no_harm(opened: Opened) -> None:
    held_up, other = await opened(Patience(renew=60)), await opened()  # it takes itself for the one that feeds for a minute
    await held_up.put([product("1", "Pizza"), product("2", "Boots")], position=10)
    await held_up.flush()
    await held_up.put([product("1", "Late pizza"), product("2", "Late boots")], position=11)  # … but before it is written
    await other.claim(at_once=True)
    await other.put([product("1", "Newest pizza")])
    await other.remove(["2"], position=12)
    await other.flush()
    with pytest.raises(Unavailable, match="another process feeds"):
        await held_up.flush()
    page = await other.search(SearchRequest())
    assert [card.name for card in page.items] == ["Newest pizza"]
    assert other.position == 12
    await held_up.flush()
    assert await ids(held_up, "late") == []


async def test_repeated_updates_change_nothing(opened: Opened) -> None:
    index = await opened()
    for _ in range(3):
        await index.put([product("1", "Pizza", price=5)])
        await index.change([ProductChange(id="1", price=6)])
        await index.remove(["2"], position=4)
        await index.flush()
    assert [card.price for card in (await index.search(SearchRequest())).items] == [6]


async def test_two_catalogues_of_one_store_both_stay_right(elastic: OnElastic, tmp_path: Path) -> None:
    async with open_house(tmp_path, open_index=elastic.open) as one, open_house(tmp_path, (), open_index=elastic.open) as other:
        for house in (one, other):
            house.follow()
        await one.stock(new_product("p1", "Pizza Hawaii"))
        await until(lambda: finds(other, ["p1"], query="hawaii"))
        await other.react(StockChanged("p1", 7))
        await other.stock(new_product("p2", "Pizza Margherita"))
        await until(lambda: finds(one, ["p1"], in_stock=True))
        await until(lambda: finds(one, ["p2"], query="margherita"))
        feeding = [await house.index.claim() for house in (one, other)]
        assert sorted(feeding) == [False, True]
        (second,) = (house for house, feeds in zip((one, other), feeding, strict=True) if not feeds)
        assert (await second(c.RebuildIndex())).products == 2
        await one.stock(new_product("p3", "Pizza Napoli"))
        await until(lambda: finds(other, ["p3"], query="napoli"))


async def test_another_catalogue_goes_on_when_the_one_that_feeds_is_gone(elastic: OnElastic, tmp_path: Path) -> None:
    async with open_house(tmp_path, open_index=elastic.open) as other:
        async with open_house(tmp_path, (), open_index=elastic.open) as one:
            one.follow()
            await one.stock(new_product("p1"))
            await one.caught_up()
            other.follow()
            await one.stock(new_product("p2"))
        await until(lambda: finds(other, ["p1", "p2"]))
        await other.stock(new_product("p3"))
        await until(lambda: finds(other, ["p1", "p2", "p3"]))


async def finds(house: House, expected: list[str], **query: object) -> bool:
    try:
        return sorted(await house.found(**query)) == expected
    except Unavailable:
        return False


# rebuilding


async def test_readers_and_writers_notice_nothing_of_a_rebuild(opened: Opened) -> None:
    index, reader = await opened(), await opened()
    await index.rebuild(PRODUCTS, position=1)
    written: list[str] = []

    async def products() -> AsyncIterator[ProductDocument]:
        for at, one in enumerate(PRODUCTS):
            yield one
            if at % 10 == 0:
                written.append(f"new{at}")
                await index.put([product(written[-1], "Boots", "", "boots")], position=2 + at)
                await asyncio.sleep(0.01)

    async with running(index, reader):
        rebuilding = asyncio.create_task(index.rebuild(products(), position=1))
        seen = 0
        while not rebuilding.done():
            pages = await asyncio.gather(index.search(SearchRequest(sort="-price", limit=1)), reader.search(SearchRequest(text="red", limit=1)))
            assert pages[0].total >= max(seen, len(PRODUCTS))
            assert pages[1].items
            seen = pages[0].total
        await rebuilding
        await index.flush()
        assert (await reader.search(SearchRequest())).total == len(PRODUCTS) + len(written)
        assert len(written) == 30
        await asyncio.sleep(1.5)  # the index before has been swept away
        assert (await reader.search(SearchRequest())).total == len(PRODUCTS) + len(written)


async def test_two_processes_that_build_at_the_same_moment_are_not_in_each_others_way(opened: Opened) -> None:
    one, other = await opened(), await opened()
    next_index = one._register.next_index

    async def next_but_late() -> str:
        name = await next_index()
        assert await other._writer.create(name)  # as it does that has just been replaced, and has yet to hear of it
        return name

    one._register.next_index = next_but_late  # type: ignore[method-assign]
    await one.rebuild(PRODUCTS[:3], position=1)
    assert sorted(await ids(one)) == sorted(found.id for found in PRODUCTS[:3])


async def test_an_index_that_no_longer_serves_is_swept_away(elastic: OnElastic, opened: Opened, tmp_path: Path) -> None:
    index = await opened()
    for _ in range(3):
        await index.rebuild(PRODUCTS[:3], position=1)

    async def one_is_left() -> bool:
        return len(ask(elastic.url, "GET", f"/{elastic.address(tmp_path).name}-v1-0*/_alias")) == 1

    assert not await one_is_left()
    async with running(index):
        await until(one_is_left)
    assert len(await ids(index)) == 3


async def test_an_index_that_somebody_deleted_is_built_anew(elastic: OnElastic, tmp_path: Path) -> None:
    async with open_house(tmp_path, open_index=elastic.open) as house:
        house.follow()
        await house.stock(new_product("p1"), new_product("p2"))
        await house.caught_up()
    (gone,) = ask(elastic.url, "GET", f"/_alias/{elastic.address(tmp_path / 'index').name}-v1")
    ask(elastic.url, "DELETE", f"/{gone}")
    async with open_house(tmp_path, open_index=elastic.open) as house:
        house.follow()
        await until(lambda: finds(house, ["p1", "p2"]))


async def test_a_field_that_nobody_knows_is_refused(elastic: OnElastic, opened: Opened, tmp_path: Path) -> None:
    await opened()
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(elastic.url, "PUT", f"/{elastic.address(tmp_path).name}-v1/_doc/1", {"foreign": 1})
    assert json.load(refused.value)["error"]["type"] == "strict_dynamic_mapping_exception"


async def test_a_product_that_cannot_be_indexed_does_not_keep_back_the_others(opened: Opened) -> None:
    index = await opened()
    await index.put([product("bad", "Pizza", brand="x" * 40_000), product("good", "Pizza")], position=3)
    await index.flush()
    assert await ids(index, "pizza") == ["good"]
    assert index.position == 3


async def test_new_figures_wait_while_the_index_cannot_be_read(elastic: OnElastic, opened: Opened, tmp_path: Path) -> None:
    """As after a crash of the server, which answers before its shards are back."""
    index = await opened()
    await index.put([product("1", "Pizza")], position=3)
    await index.flush()
    (serving,) = ask(elastic.url, "GET", f"/_alias/{elastic.address(tmp_path).name}-v1")
    ask(elastic.url, "POST", f"/{serving}/_close")
    await index.change([ProductChange(id="1", rating_average=4.5, rating_count=1)], position=4)
    with pytest.raises(Unavailable, match="can't be read now"):
        await index.flush()
    ask(elastic.url, "POST", f"/{serving}/_open?wait_for_active_shards=1")
    await index.flush()
    (shown,) = (await index.search(SearchRequest())).items
    assert (shown.rating_count, index.position) == (1, 4)


async def test_a_process_that_goes_back_in_time_brings_all_that_is_new(opened: Opened) -> None:
    """As after a crash, with more than may wait: what it brings anew is older than what the index has, but for one product."""
    index = await opened()
    await index.put([product("1", "Pizza")], position=10)
    await index.flush()
    await index.remove([], position=3)
    others = [ProductChange(id=str(number), quantity=1) for number in range(2, MOST_WAITING + 2)]
    await index.change([ProductChange(id="1", rating_average=4.5, rating_count=1), *others])
    await index.remove([], position=11)
    await index.flush()
    (shown,) = (await index.search(SearchRequest())).items
    assert (shown.rating_count, index.position) == (1, 11)


# an engine that is away


@asynccontextmanager
async def pretending(answer: bytes) -> AsyncIterator[str]:
    """The address of something that listens there, and answers every request so; with nothing to say it keeps silent."""
    ended: list[asyncio.Event] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended[-1].set()

    async with await asyncio.start_server(talk, "127.0.0.1") as server:
        yield f"elasticsearch://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for one in ended:
            await one.wait()


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with pretending(b"") as url:
        index = ElasticProductIndex(Address.read(f"{url}?deadline=0.2"), "me")
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable, match="the search doesn't answer"):
                await index.search(SearchRequest(text="pizza"))
        await index.close()


async def test_what_is_not_elasticsearch_is_told_apart() -> None:
    async with pretending(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}") as url:
        index = ElasticProductIndex(Address.read(f"{url}?deadline=20"), "me")
        assert await index.check() == "what answers at the search's address isn't Elasticsearch"
        await index.close()


async def test_until_an_index_serves_there_is_a_reason_not_to_be_ready(elastic: OnElastic, tmp_path: Path) -> None:
    index = ElasticProductIndex(elastic.address(tmp_path), "me")
    assert await index.check() == "the search index is being built"
    with pytest.raises(Unavailable, match="is being built"):
        await index.search(SearchRequest())
    await index.claim()
    await index.rebuild([product("1", "Pizza")], position=1)
    assert await index.check() == ""
    await index.close()


@pytest.mark.slow
async def test_a_killed_server_is_waited_for_and_caught_up_with(tmp_path: Path) -> None:
    engine = named("elastic")
    with served("elastic") as (place, settings):
        if place is None:
            pytest.skip("somebody else's server is not ours to kill")
        elastic = OnElastic(settings["TORG_INDEX"])
        async with open_house(tmp_path, open_index=elastic.open) as house:
            house.follow()
            await house.stock(new_product("p1"))
            await house.caught_up()
            await asyncio.to_thread(run.stop, engine, place, print)
            with pytest.raises(Unavailable, match="the search doesn't answer"):
                await house.found()
            await house.stock(new_product("p2"))
            await asyncio.sleep(2)
            assert await house.feed.check() == ""  # all that needs no search goes on
            await asyncio.to_thread(run.start, engine, place, print)
            await until(lambda: finds(house, ["p1", "p2"]), seconds=120)


# the address


def test_address_names_nodes_login_and_index() -> None:
    plain = Address.read("elasticsearch://127.0.0.1")
    assert (plain.nodes, plain.name, plain.user, plain.deadline) == (("http://127.0.0.1:9200",), "torg-products", "", 2.0)
    whole = Address.read("elasticsearch+https://ann:p%40ss@one:9201,two/goods?ca=/etc/ca.crt&deadline=0.5")
    assert whole == Address(("https://one:9201", "https://two:9200"), "ann", "p@ss", "goods", "/etc/ca.crt", 0.5)


@pytest.mark.parametrize("url", ["elasticsearch://", "http://127.0.0.1:9200", "nonsense", "solr://h:1"])
def test_bad_address_is_refused_with_what_would_be_right(url: str, tmp_path: Path) -> None:
    with pytest.raises(BadAddress):
        Address.read(url)
    with pytest.raises(BadSettings, match=r"TORG_INDEX: .*elasticsearch://host:9200, elasticsearch\+https://host:9200, and nothing at all \(tantivy"):
        open_index(url, tmp_path, "me")
