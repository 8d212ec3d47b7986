"""The retailer's data as it was published: rows of the gzipped tables in `data/complete-journey`, which the README there describes."""

import csv
import gzip
import io
from collections.abc import Iterator
from importlib.resources import files
from typing import NamedTuple


class SourceProduct(NamedTuple):
    product_id: str
    manufacturer_id: str
    department: str
    brand: str
    category: str
    kind: str
    package_size: str


class SoldLine(NamedTuple):
    """A line of a till receipt; money is dollars, `sales_value` what the whole line cost after its discounts, `at` ISO 8601 in UTC."""

    household_id: str
    store_id: str
    basket_id: str
    product_id: str
    quantity: int
    sales_value: float
    retail_disc: float
    coupon_disc: float
    at: str

    @property
    def odd(self) -> bool:
        """Nothing was bought, or it cost nothing even before discounts."""
        return self.quantity < 1 or self.sales_value + self.retail_disc + self.coupon_disc <= 0


def source_products() -> Iterator[SourceProduct]:
    return (SourceProduct(*row) for row in source_rows("products"))


def sold_lines() -> Iterator[SoldLine]:
    for household, store, basket, product, quantity, sales, retail, coupon, _, _, at in source_rows("transactions_sample"):
        yield SoldLine(household, store, basket, product, int(float(quantity)), float(sales), float(retail), float(coupon), at)


def source_rows(table: str) -> Iterator[list[str]]:
    """The rows of a table, without its heading."""
    packed = files("torg.demo").joinpath("data", "complete-journey", f"{table}.csv.gz").read_bytes()
    rows = csv.reader(io.StringIO(gzip.decompress(packed).decode()))
    next(rows)
    return rows
