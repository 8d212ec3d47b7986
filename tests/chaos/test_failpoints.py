"""That failpoints are where they are said to be, and that shopping comes by all of them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.chaos.process import ROOT
from tests.shop import open_shop
from tests.shop.cards import page_of, pay
from torg.acquirer.cards import Behaviour
from torg.kit import failpoints
from torg.kit.failpoints import NAMES, arm

OF_KAFKA = {"before publish", "after publish"}
"""Of the relay, which only runs with a broker: kit/tests/test_failpoints.py."""


def test_each_is_somewhere_and_explained():
    said = "".join(file.read_text() for file in (ROOT / "src").rglob("*.py") if "tests" not in file.parts)
    assert set(re.findall(r'reached\("([^"]+)"\)', said)) == set(NAMES)
    page = (ROOT / "docs" / "chaos.md").read_text()
    assert [name for name in NAMES if f"| `{name}` |" not in page] == []


async def test_an_order_paid_by_card_comes_by_all_of_them(tmp_path: Path):
    folder, passed = tmp_path / "failpoints", list[str]()
    folder.mkdir()
    token = failpoints.watch(folder, "main", passed.append)
    try:
        async with open_shop(tmp_path / "shop") as shop:
            for name in NAMES:
                arm(folder, name)
            anna = await shop.buyer()
            order_id = await anna.order(shop.product(), method="card")
            await pay(await page_of(anna, order_id), Behaviour.SUCCESS)
            await anna.sees(order_id, "confirmed")
    finally:
        failpoints.leave(token)
    assert set(passed) == set(NAMES) - OF_KAFKA
