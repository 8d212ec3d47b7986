"""One kill, every day; many of them: python tests/chaos/kill.py --rounds 100"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.kill import rounds


@pytest.mark.slow
async def test_nothing_that_was_promised_is_lost_when_the_process_is_killed(tmp_path: Path):
    figures = await rounds(tmp_path / "shop", kills=1, seed=7, life=(1.5, 3), doubts_last=0)
    assert not figures.faults, "\n".join(figures.lines())
    assert figures.acknowledged > 10
    assert len(figures.starts) == 2
