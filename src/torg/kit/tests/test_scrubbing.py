"""What logs never hold."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from torg.kit import telemetry
from torg.kit.errors import FieldError, Problem
from torg.kit.scrubbing import REMOVED, shown

HIDDEN = "hushhushhush1234"


@pytest.fixture
def lines():
    kept, to = structlog.get_config(), io.StringIO()
    telemetry.configure_logs("info", as_json=True, to=to)
    yield to
    structlog.configure(**kept)


def _said(lines: io.StringIO) -> Any:
    return json.loads(lines.getvalue())


@pytest.mark.parametrize(
    "name", ["authorization", "Cookie", "set_cookie", "password", "new_password", "client_secret", "refresh_token", "api_key", "totp_secret"]
)
def test_secrets_are_hidden_by_their_names(lines: io.StringIO, name: str):
    telemetry.log.info("asked", **{name: HIDDEN}, inner={name: HIDDEN, "more": [{name: HIDDEN}]})
    assert HIDDEN not in lines.getvalue()
    assert _said(lines)[name] == REMOVED


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {HIDDEN}", f"Basic {HIDDEN}==", f"eyJhbGciOiJFZERTQSJ9.{HIDDEN}.{HIDDEN}", f"torg_{HIDDEN}",
        f"postgresql://torg:{HIDDEN}@db/torg", f"redis://:{HIDDEN}@db:6379/0", f"{{'name': 'Anna', 'password': '{HIDDEN}'}}",
        f'{{"client_secret": "{HIDDEN}"}}', f"/reset?token={HIDDEN}&x=1", f"code={HIDDEN}",
    ],
)  # fmt: skip
def test_secrets_are_hidden_by_their_looks(lines: io.StringIO, text: str):
    telemetry.log.info(f"this came: {text}", detail=text)
    assert HIDDEN not in lines.getvalue()


def test_card_numbers_are_hidden_also_in_what_an_error_says(lines: io.StringIO):
    try:
        int("4242 4242 4242 4242")
    except ValueError as error:
        telemetry.log.error("it failed", exc_info=error, body=b"5555555555554444", values=("4242424242424242",))
    assert "4242 4242" not in lines.getvalue()
    assert "5555555555554444" not in lines.getvalue()
    assert "ValueError" in lines.getvalue()
    assert "card \\u2026 4242".replace(" 4242", "4242") in lines.getvalue()


def test_the_rest_stays_as_it_is(lines: io.StringIO):
    telemetry.log.info("a request", path="/orders/019ab3c4-1234-7123-8123-123456789012", seconds=0.25, worked=True, none=None, token_type="Bearer")
    said = _said(lines)
    assert (said["path"], said["seconds"], said["worked"], said["none"], said["token_type"]) == (
        "/orders/019ab3c4-1234-7123-8123-123456789012", 0.25, True, None, "Bearer",
    )  # fmt: skip


def test_what_libraries_say_is_a_line_like_others(lines: io.StringIO):
    error = OSError(f"postgresql://torg:{HIDDEN}@db/torg cannot be reached")
    logging.getLogger("some.library").error("it asked with Bearer %s", HIDDEN, exc_info=error)
    logging.getLogger("some.library").info("nobody wants to hear this")
    assert HIDDEN not in lines.getvalue()
    said = _said(lines)
    assert (said["logger"], said["level"], said["event"], "OSError" in said["exception"]) == ("some.library", "error", "it asked with [secret]", True)


def test_a_process_that_ends_by_a_defect_says_no_secret(lines: io.StringIO):
    error = ZeroDivisionError(f"redis://:{HIDDEN}@db:6379/0")
    telemetry.tell_of_the_end(type(error), error, None)
    assert HIDDEN not in lines.getvalue()
    assert "ZeroDivisionError" in _said(lines)["exception"]


def test_words_about_secrets_are_none(lines: io.StringIO):
    text = "sign in by basic authentication, or send a bearer credential; password: at least 8 characters"
    telemetry.log.info("asked", detail=text)
    assert _said(lines)["detail"] == text


def test_a_problem_says_again_what_was_sent_but_no_secret_and_no_card():
    detail = f"'Bearer {HIDDEN}' is no city, nor is 4242 4242 4242 4242"
    problem = shown(Problem("Some of it is not valid", 422, detail, "request.invalid", instance="r-1", errors=(FieldError("city", "unknown", detail),)))
    assert (problem.detail, problem.errors[0].detail) == ("'[secret]' is no city, nor is [card …4242]",) * 2
    assert (problem.code, problem.errors[0].field, problem.instance) == ("request.invalid", "city", "r-1")
