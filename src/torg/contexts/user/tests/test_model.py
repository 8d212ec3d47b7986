"""Rules of users that need neither a store nor a loop."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torg.contexts.user.contracts import PERSON
from torg.contexts.user.model import accounts, attempts, sessions
from torg.kit.errors import Invalid
from torg.kit.passwords import weakness
from torg.kit.tokens import Signer, private_key

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("email", ["anna@example.com", "a.b+c@sub.example.co.uk", "анна@почта.рф", "0f3c@buyers.torg.example"])
def test_an_address_with_a_domain_is_an_email(email: str) -> None:
    assert PERSON["email"](email, NOW) is None


@pytest.mark.parametrize("email", ["", "not-an-address", "a@b", "a@@b.com", "a b@c.com", "a@b..com", "a@b.com\n", "a\x00@b.com", f"{'x' * 65}@b.com", "a@-"])
def test_anything_else_is_no_email(email: str) -> None:
    assert PERSON["email"](email, NOW)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "Anna\r\nBcc: all@example.com"])
def test_a_name_is_one_line_of_text(name: str) -> None:
    assert PERSON["full_name"](name, NOW)
    assert PERSON["full_name"]("Анна Петрова", NOW) is None


def test_a_birth_date_lies_in_the_past_and_in_living_memory() -> None:
    assert PERSON["birth_date"](date(1990, 5, 17), NOW) is None
    assert PERSON["birth_date"](None, NOW) is None
    assert PERSON["birth_date"](NOW.date(), NOW) is None
    assert PERSON["birth_date"](date(2026, 3, 2), NOW)
    assert PERSON["birth_date"](date(1895, 1, 1), NOW)


@pytest.mark.parametrize(
    "password", ["short", "password", "P@ssw0rd", "Password2024!", "12345678", "qwertyuiop", "aaaaaaaa", "monkeymonkey", "1qaz2wsx", "iloveyou1", "31.12.1999"]
)
def test_what_everybody_tries_first_is_no_password(password: str) -> None:
    assert weakness(password)


@pytest.mark.parametrize("password", ["Another-long-1234", "correct mule battery", "x9!kQ2#v", "мой дядя самых честных", "Long-0f3c9a", "80281763520947"])
def test_length_is_enough_whatever_it_is_made_of(password: str) -> None:
    assert weakness(password) is None


def test_an_email_address_is_no_password() -> None:
    for password in ("anna.petrova@example.com", "Anna.Petrova"):
        with pytest.raises(Invalid):
            accounts.refuse_weak(password, "anna.petrova@example.com")


@given(st.integers(0, 200), st.integers(1, 100))
def test_the_pause_grows_with_each_failure_and_has_an_end(failures: int, free: int) -> None:
    assert (attempts.pause(failures, free) > timedelta()) == (failures >= free)
    assert attempts.pause(failures, free) <= attempts.pause(failures + 1, free) <= attempts.LONGEST_PAUSE


def test_tokens_are_made_of_256_random_bits_and_never_kept_in_clear() -> None:
    signer = Signer("k", private_key("k", b"\x01" * 32))
    tokens = sessions.Mint(signer, "https://torg.example", lambda size: b"\xff" * size, NOW).tokens("s", "u")
    session = sessions.open_session("s", "u", tokens, "10.0.0.1", NOW)
    assert len(tokens.refresh_token) == 43
    assert tokens.access_token not in repr(session)
    assert tokens.refresh_token not in repr(session)
