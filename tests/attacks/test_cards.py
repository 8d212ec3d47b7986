"""Card numbers that people type where they don't belong: nobody keeps one (PCI DSS 4.0.1, SAQ A)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import unquote

import aiohttp
import pytest

from tests.attacks.cards import CARDS, holding_cards, paid_by_card, said_in_headers, typed_into_the_api, typed_into_the_pages
from tests.attacks.conftest import Town
from torg.kit import card_numbers

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def nothing_is_logged(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """No line of the log has one, whatever was typed where."""
    yield
    said = capfd.readouterr()
    assert not card_numbers.is_in(said.out + said.err)


async def test_no_field_of_the_api_takes_one_and_nobody_keeps_one(town: Town):
    await typed_into_the_api(town, *CARDS)
    assert not holding_cards(Path(town.shop.app.settings.data))


async def test_no_form_of_a_page_takes_one(town: Town):
    await typed_into_the_pages(town, CARDS[0])


async def test_an_import_ends_before_a_card_number_is_taken_in(town: Town):
    admin = await town.shop.staff("admin")
    row = b'{"name": "Milk", "description": "4242424242424242"}'
    for split in (row, b" " * 100 + row):
        answer = await town.shop.send(
            "POST", "/api/v1/products/import", raw=split, **{"authorization": f"Bearer {admin.token}", "content-type": "application/x-ndjson"}
        )
        assert (answer.status, answer.json["code"]) == (422, "card.not_here")


async def test_an_import_that_comes_in_small_pieces_ends_before_one_is_taken_in(town: Town):
    admin, row = await town.shop.staff("admin"), b'{"id": "dripping", "name": "Milk of 5555 5555 5555 4444"}\n'

    async def dripping() -> AsyncIterator[bytes]:
        for place in range(0, len(row), 3):
            yield row[place : place + 3]
            await asyncio.sleep(0.002)  # so that the pieces come one by one

    headers = {"authorization": f"Bearer {admin.token}", "content-type": "application/x-ndjson"}
    async with aiohttp.ClientSession() as client, client.post(f"{town.shop.address}/api/v1/products/import", data=dripping(), headers=headers) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (422, "card.not_here")


async def test_no_header_leaves_one_anywhere(town: Town):
    await said_in_headers(town, CARDS[0])
    assert not holding_cards(Path(town.shop.app.settings.data))


@pytest.mark.parametrize("path", ["/", "/cart", "/pictures/{product_id}.svg", "/api/v1/categories", "/health"])
@pytest.mark.parametrize("written", [CARDS[0], "5555+5555+5555+4444", "%34242424242424242", f"1&%ff&y={CARDS[0]}"])
async def test_no_query_has_one_and_no_answer_is_kept_by_it(town: Town, path: str, written: str):
    answer = await town.open("GET", f"{path.format(**town.known)}?x={written}")
    assert answer.status == 422


async def test_the_search_takes_none(town: Town):
    answer = await town.shop.guest().get("/products", query=CARDS[0])
    assert (answer.status, answer.json["code"]) == (422, "card.not_here")
    assert answer.json["errors"][0]["field"] == "query"


async def test_a_card_is_typed_on_the_acquirers_page_and_kept_by_nobody(town: Town):
    await paid_by_card(town)
    assert not holding_cards(Path(town.shop.app.settings.data))


async def test_the_scanner_sees_what_is_there(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "order.db-wal").write_bytes(b"\x00\xff 5555 5555 5555 4444 \x00")
    (tmp_path / "index").write_bytes(b"4242424242424242")
    (tmp_path / "mail.eml").write_bytes(b"019ab3c4-1234-7123-8123-123456789012")
    assert holding_cards(tmp_path) == ["deep/order.db-wal", "index"]


@pytest.mark.parametrize("written", [CARDS[0], "4242%204242%204242%204242", "3782-822463-10005", "%34242424242424242"])
async def test_no_path_takes_one_and_no_answer_says_it_again(town: Town, written: str):
    for path in (f"/api/v1/products/{written}", f"/api/v1/nothing/{written}", f"/products/{written}", f"/orders/{written}", f"/{written}"):
        answer = await town.open("GET", unquote(path))  # as a server gives it
        assert answer.status == 422, path
        assert CARDS[0] not in answer.body.decode()
        assert "4242 4242" not in answer.body.decode()
        assert "822463" not in answer.body.decode()
