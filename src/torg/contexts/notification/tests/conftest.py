from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from torg.contexts.notification.tests.notification_setup import Notifications, notifications_at


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Notifications]:
    async with notifications_at(tmp_path) as notifications:
        yield notifications
