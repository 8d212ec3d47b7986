"""What the shop itself said of it, in its log of JSON lines."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_DEFECT = re.compile(r"its log lines carry ([0-9a-f-]+)")


def complaints(log: Path) -> Counter[str]:
    """What it calls an error, and how often."""
    return Counter(str(told.get("event")) for told in _lines(log) if told.get("level") == "error")


def with_stories(found: Sequence[str], log: Path) -> list[str]:
    """Each answer that tells of a defect together with what the log says of that request."""
    asked = {request[1] for sentence in found if (request := _DEFECT.search(sentence))}
    stories = {str(told["request_id"]): str(told["exception"])[-1500:] for told in _lines(log) if told.get("request_id") in asked and "exception" in told}
    return [f"{sentence}\n{stories[request[1]]}" if (request := _DEFECT.search(sentence)) and request[1] in stories else sentence for sentence in found]


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text(errors="replace").splitlines():
        with suppress(ValueError):  # what is not a line of the log
            told = json.loads(line[line.index("{") :])
            if isinstance(told, dict):
                yield told
