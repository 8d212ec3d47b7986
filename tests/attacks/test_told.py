"""What is tried against the shop stands in its log, for those who look."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.attacks.conftest import Town
from torg import events
from torg.kit import security, telemetry

pytestmark = pytest.mark.asyncio(loop_scope="session")
CARD, FORGED = "4242424242424242", "Bearer eyJhbGciOiJub25lIn0.e30."


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    security.tell._few = telemetry.Few()
    kept, to = structlog.get_config(), io.StringIO()
    telemetry.configure_logs("info", as_json=True, to=to)
    yield to
    structlog.configure(**kept)


def told(lines: io.StringIO) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, lines.getvalue().splitlines()) if event["event"] == "security"]


async def test_sign_ins_that_fail_and_succeed_and_what_is_refused_is_told(town: Town, lines: io.StringIO):
    guest, buyer = town.shop.guest(), town.buyer
    wrong = {"email": buyer.email, "password": "not-the-password-of-anna"}
    assert (await guest.post("/sessions", wrong)).status == 401
    assert (await guest.post("/sessions", {**wrong, "email": "nobody@example.com"})).status == 401
    assert (await town.shop.send("GET", "/api/v1/orders", authorization=FORGED)).status == 401
    assert (await town.shop.send("GET", "/api/v1/orders", x_api_key="torg_madeupmadeupmadeup")).status == 401
    assert (await buyer.get("/admin/users")).status == 403
    assert (await buyer.get(f"/products/{CARD}")).status == 422
    assert (await guest.get("/orders")).status == 401
    await town.shop.buyer()
    found = [(event["kind"], event.get("code", ""), event.get("user_id", "")) for event in told(lines)]
    assert found[:7] == [
        ("wrong_password", "", buyer.user_id), ("unauthenticated", "session.bad_credentials", ""), ("unauthenticated", "session.bad_credentials", ""),
        ("unauthenticated", "session.invalid", ""), ("unauthenticated", "api_key.invalid", ""), ("forbidden", "role.required", buyer.user_id),
        ("card", "card.not_here", ""),
    ]  # fmt: skip
    assert {kind for kind, *_ in found[7:]} == {"sign_in"}, "who was only to sign in is no event"
    assert all(event["timestamp"] and event["address"] for event in told(lines))
    for secret in ("not-the-password", "madeup", CARD, buyer.email, "eyJ"):
        assert secret not in lines.getvalue()


async def test_the_command_line_shows_them(town: Town, lines: io.StringIO, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for _ in range(3):
        await town.shop.send("GET", "/api/v1/orders", authorization=FORGED)
    await town.buyer.get("/admin/users")
    file = tmp_path / "shop.log"
    file.write_text(f'Torg is ready\n{{broken "security"\n{lines.getvalue()}')
    events.log(file)
    shown = capsys.readouterr().out
    assert shown.count("session.invalid") == 3
    assert "3  unauthenticated: a token, key, code or signature that is not believed" in shown
    events.log(file, person=town.buyer.user_id)
    shown = capsys.readouterr().out
    assert "role.required" in shown
    assert "session.invalid" not in shown
    with pytest.raises(SystemExit):
        events.log(file, kind="nonsense")
    assert "kinds are sign_in, wrong_password" in capsys.readouterr().err
