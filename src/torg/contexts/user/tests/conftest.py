from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.user.tests.user_setup import Users, users_at


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[Users]:
    async with users_at(tmp_path) as users:
        yield users
