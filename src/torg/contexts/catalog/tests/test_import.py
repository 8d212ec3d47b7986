"""Products in bulk over HTTP: as they come, in either form, as often as one likes."""

from __future__ import annotations

import msgspec
import pytest

from torg.contexts.catalog import contracts as c
from torg.contexts.catalog.adapters.import_rows import LONGEST_ROW, CsvRows, NdjsonRows
from torg.contexts.catalog.ports import ImportRow
from torg.contexts.catalog.tests.house import House, new_product, usd
from torg.kit.errors import Invalid

NDJSON = "application/x-ndjson"
CSV = '''id,name,category,price,old_price,pictures,attribute:Colour,weight_grams
p1,"Pizza, ""large""",frozen.pizza,500,700,/a.jpg https://b.example/c.jpg,red,400
p2,"Two
lines",dairy.milk,99,,,,

p3,Cheap,shoes,x,,,,1
p4,Short,dairy.milk,1
'''


def rows(text: bytes, reader: CsvRows | NdjsonRows, size: int) -> list[ImportRow]:
    found: list[ImportRow] = []
    for start in range(0, len(text), size):
        found += reader.feed(text[start : start + size])
    return [*found, *reader.end()]


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_csv_is_read_whatever_the_chunks(size: int) -> None:
    found = rows(CSV.encode(), CsvRows("USD"), size)
    assert [row.line for row in found] == [2, 3, 6, 7]
    assert found[0].product == c.NewProduct(
        id="p1", name='Pizza, "large"', category="frozen.pizza", price=usd(500), old_price=usd(700), pictures=("/a.jpg", "https://b.example/c.jpg"),
        attributes=(c.Attribute(name="Colour", value="red"),), weight_grams=400,
    )  # fmt: skip
    assert found[1].product == c.NewProduct(id="p2", name="Two\nlines", category="dairy.milk", price=usd(99))
    assert [error.field for error in found[2].errors] == ["price"]
    assert "5 cells" not in found[3].errors[0].detail
    assert "4 cells, the heading 8" in found[3].errors[0].detail


def test_a_heading_with_an_unknown_column_is_refused() -> None:
    with pytest.raises(Invalid, match="'colour'"):
        rows(b"id,colour\n1,red\n", CsvRows("USD"), 100)


def test_a_byte_order_mark_and_carriage_returns_are_no_matter() -> None:
    text = "\ufeffid,name,category,price\r\np1,Pizza,frozen.pizza,1\r\n".encode()
    assert [row.product and row.product.id for row in rows(text, CsvRows("USD"), 5)] == ["p1"]


def test_a_quote_that_never_ends_is_told_with_its_line() -> None:
    found = rows(b'id,name,category,price\np1,a,b,1\np2,"open,b,1\np3,c,d,1\n', CsvRows("USD"), 9)
    assert [(row.line, bool(row.product)) for row in found] == [(2, True), (3, False)]


def test_ndjson_names_every_fault_of_a_row() -> None:
    lines = [msgspec.json.encode(new_product("p1")), b"", b'{"id": 5, "name": "x", "colour": "red"}', b"[1]", b"{no", b"\xff", b'{"id":"p2"']
    found = rows(b"\n".join(lines), NdjsonRows(), 10)
    assert found[0].product == new_product("p1")
    assert {error.field for error in found[1].errors} == {"id", "colour", "category", "price"}
    assert [row.line for row in found] == [1, 3, 4, 5, 6, 7]
    assert not any(row.product for row in found[1:])


def test_a_row_without_end_is_refused() -> None:
    with pytest.raises(Invalid, match="line 1"):
        rows(b"x" * (LONGEST_ROW + 1), NdjsonRows(), LONGEST_ROW)
    with pytest.raises(Invalid, match="line 2"):
        rows(b'id\n"' + b"x\n" * LONGEST_ROW, CsvRows("USD"), LONGEST_ROW)


async def test_an_import_answers_with_a_report_and_may_be_sent_again(house: House) -> None:
    first = await house.ask("POST", "/products/import", raw=CSV.encode(), who="admin", content_type="text/csv; charset=utf-8")
    assert first.status == 200, first
    assert {name: value for name, value in first.json.items() if name != "errors"} == {"rows": 4, "added": 2, "changed": 0, "unchanged": 0, "rejected": 2}
    assert [error["line"] for error in first.json["errors"]] == [6, 7]
    again = await house.ask("POST", "/products/import", raw=CSV.encode(), who="admin", content_type="text/csv")
    assert (again.json["added"], again.json["unchanged"]) == (0, 2)


async def test_a_long_import_is_taken_in_several_commits(house: House) -> None:
    lines = [msgspec.json.encode(new_product(f"p{n}", category="frozen.pizza" if n != 700 else "shoes")) for n in range(1200)]
    done = await house.ask("POST", "/products/import", raw=b"\n".join(lines), who="admin", content_type=NDJSON)
    assert (done.json["rows"], done.json["added"], done.json["rejected"]) == (1200, 1199, 1)
    assert done.json["errors"] == [
        {"line": 701, "field": "category", "code": "category.unknown", "detail": "there is no category 'shoes': GET /categories lists them"}
    ]


async def test_what_is_neither_is_refused(house: House) -> None:
    refused = await house.ask("POST", "/products/import", raw=b"{}", who="admin", content_type="application/json")
    assert refused.status == 415
    assert (await house.ask("POST", "/products/import", raw=b"", who="admin", content_type=NDJSON, content_length=str(65 << 20))).status == 413
