"""Which passwords are taken."""

from __future__ import annotations

import pytest

from torg.kit.passwords import SHORTEST, leaked, weakness


def test_the_list_of_leaked_passwords_is_long_and_holds_only_what_would_be_taken_otherwise():
    assert len(leaked()) > 3_000 * 5
    assert all(len(word) >= SHORTEST and word == word.casefold() for word in leaked())


@pytest.mark.parametrize("password", ["jennifer07", "Myspace1", "LETMEIN1", "1password", "jordan23", "password", "iloveyou1"])
def test_leaked_passwords_are_refused_in_any_case(password: str):
    assert "everybody tries first" in str(weakness(password))


def test_no_leaked_password_is_taken():
    assert [word for word in leaked() if weakness(word) is None] == []


@pytest.mark.parametrize("password", ["four words in a row", "Kettle-Harbour-42", "длинный и свой пароль", "x7#kQ!m2"])
def test_own_ones_are_taken_without_rules_of_composition(password: str):
    assert weakness(password) is None
