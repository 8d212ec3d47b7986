"""Settings: environment over file over default, and every bad one named at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from torg.kit.settings import BadSettings, load


def test_environment_goes_over_file_and_options_over_both(tmp_path: Path):
    file = tmp_path / "torg.toml"
    file.write_text('port = 1111\nlanguage = "ru"\ncurrency = "RUB"\n')
    settings = load({"TORG_CONFIG": str(file), "TORG_PORT": "2222", "TORG_LANGUAGE": "en", "HOME": "/"}, {"port": 3333})
    assert (settings.port, settings.language, settings.currency) == (3333, "en", "RUB")


def test_all_bad_ones_are_named_at_once():
    with pytest.raises(BadSettings) as refused:
        load({"TORG_PORT": "eighty", "TORG_CURRENCY": "rubles", "TORG_PROT": "1", "TORG_SYNC": "SOMETIMES"})
    for name in ("TORG_PORT", "TORG_CURRENCY", "TORG_PROT", "TORG_SYNC"):
        assert name in str(refused.value)


def test_an_unreadable_file_is_said(tmp_path: Path):
    with pytest.raises(BadSettings, match="nowhere"):
        load({"TORG_CONFIG": str(tmp_path / "nowhere.toml")})
    (tmp_path / "bad.toml").write_text("port = = 1")
    with pytest.raises(BadSettings, match=r"bad\.toml"):
        load({"TORG_CONFIG": str(tmp_path / "bad.toml")})


def test_servers_that_tests_are_given_are_no_settings():
    assert load({"TORG_TEST_POSTGRES": "postgresql://127.0.0.1:5432/torg"}) == load({})


@pytest.mark.parametrize("address", ["shop.example", "http://127.0.0.1:${TORG_PORT:-8000}", "https://", "ftp://shop.example", "http://[::1"])
def test_an_address_that_is_none_is_said(address: str):
    with pytest.raises(BadSettings, match=r"is no address: write https://shop\.example"):
        load({"TORG_PUBLIC_URL": address})


@pytest.mark.parametrize("address", ["https://shop.example", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_an_address_is_taken(address: str):
    assert load({"TORG_PUBLIC_URL": address}).public_url == address


@pytest.mark.parametrize("name", ["TORG_DB", "TORG_ORDER_DB", "TORG_ORDER_DB_REPLICA", "TORG_FACTS", "TORG_REDIS"])
def test_a_shop_without_the_demonstration_refuses_its_passwords(name: str):
    given = {name: "kind://torg:torg@engine:5432/torg"}
    assert load(given).demo
    with pytest.raises(BadSettings, match=f"{name}: its password is the demonstration's") as refused:
        load(given | {"TORG_DEMO": "false"})
    assert "engine:5432" not in str(refused.value)
    assert not load({name: "kind://torg:p4-s8-w0rd@engine:5432/torg", "TORG_DEMO": "false"}).demo
