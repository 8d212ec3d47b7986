"""Security events: told, bounded, and counted all the same."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from torg.kit import telemetry
from torg.kit.security import Teller
from torg.kit.telemetry import A_MINUTE


@pytest.fixture
def lines():
    kept, to = structlog.get_config(), io.StringIO()
    telemetry.configure_logs("warning", as_json=True, to=to)
    yield to
    structlog.configure(**kept)


def said(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def counted(kind: str) -> float:
    return REGISTRY.get_sample_value("torg_security_events_total", {"kind": kind}) or 0


def test_a_flood_of_one_kind_has_so_many_lines_a_minute_and_hides_no_other(lines: io.StringIO):
    now, before = [0.0], counted("unauthenticated")
    tell = Teller(lambda: now[0])
    for _ in range(10_000):
        tell("unauthenticated", address="192.0.2.1")
    tell("forbidden", user_id="u-1")
    assert [event["kind"] for event in said(lines)] == ["unauthenticated"] * A_MINUTE + ["forbidden"]
    assert counted("unauthenticated") - before == 10_000
    now[0] += 61
    tell("unauthenticated", address="192.0.2.1")
    tell("unauthenticated", address="192.0.2.1")
    assert [event.get("left_out") for event in said(lines)[-2:]] == [10_000 - A_MINUTE, None]


def test_an_event_says_what_there_is_to_say_and_when_and_no_secret(lines: io.StringIO):
    Teller()("unauthenticated", code="session.invalid", path="/reset?token=hushhush1234", user_id="", address="192.0.2.1")
    (event,) = said(lines)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "security", "level": "warning", "kind": "unauthenticated", "code": "session.invalid", "path": "/reset?token=[secret]",
        "address": "192.0.2.1",
    }  # fmt: skip


def test_sign_ins_are_told_where_lines_of_that_level_are_wanted(lines: io.StringIO):
    Teller()("sign_in", user_id="u-1")
    assert said(lines) == []
    telemetry.configure_logs("info", as_json=True, to=lines)
    Teller()("sign_in", user_id="u-1")
    assert [(event["kind"], event["user_id"]) for event in said(lines)] == [("sign_in", "u-1")]
