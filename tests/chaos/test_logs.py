"""What is made of the shop's log."""

from __future__ import annotations

import json
from pathlib import Path

from tests.chaos.logs import complaints, with_stories

DEFECT = 'GET /products was answered 500: {"detail":"this is a defect; its log lines carry 01a2-7f"}'


def test_a_defect_is_told_with_its_story(tmp_path: Path):
    log = tmp_path / "told.log"
    told = {"event": "a request failed", "level": "error", "request_id": "01a2-7f", "exception": "Traceback: KeyError: milk"}
    log.write_text(f"catalog | {json.dumps(told)}\norder | Torg is ready\norder | {json.dumps({'event': 'unavailable', 'level': 'warning'})}\n")
    assert with_stories([DEFECT, "LOST: order 7"], log) == [f"{DEFECT}\nTraceback: KeyError: milk", "LOST: order 7"]
    assert complaints(log) == {"a request failed": 1}
