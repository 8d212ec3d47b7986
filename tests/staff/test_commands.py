"""Commands that ask a running shop, by an operator who has a second factor."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path

import pytest

from tests.shop import open_shop
from tests.shop.goods import PASSWORD
from torg.contexts.user.model.factors import STEP, code_at
from torg.recovery.asking import ADMIN, Asked, answer


async def test_a_command_takes_the_code_of_an_operator_who_has_a_second_factor(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        admin = await shop.staff("admin")
        secret = base64.b32decode((await admin.post("/users/me/factors/totp", {})).json["secret"])
        at = int(time.time()) // STEP
        codes = (await admin.post("/users/me/factors/totp/confirm", {"code": code_at(secret, at)})).json["codes"]

        def verified(code: str) -> bool:
            return bool(answer("/admin/audit/verify", Asked(shop.address, ADMIN, PASSWORD, code), {"kept": ""})["holds"])

        assert await asyncio.to_thread(verified, codes[0])
        for bad in (codes[0], "000000"):
            with pytest.raises(SystemExit, match="code"):
                await asyncio.to_thread(verified, bad)
