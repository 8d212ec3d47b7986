"""Signed tokens: the honest one is believed, and of a corpus of forged ones none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from torg.kit.sealing import Sealer
from torg.kit.testing.forging import forged
from torg.kit.tokens import ACCESS, ID, LEEWAY, BadToken, Checker, Claims, Signer, jwk_of, private_key

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEED = b"\x01" * 32
ISSUER = "https://torg.example"
SIGNER = Signer("k1", private_key("k1", SEED))
CHECKER = Checker.of(ISSUER, [jwk_of("k1", SEED), jwk_of("k2", b"\x02" * 32)])
AT = int(NOW.timestamp())
CLAIMS = Claims(iss=ISSUER, aud=ISSUER, sub="u", client_id="torg", sid="s", jti="j", iat=AT, exp=AT + 900)
CORPUS = forged(SIGNER, CLAIMS)


def test_the_honest_token_is_believed():
    assert CHECKER.check(SIGNER.sign(CLAIMS, ACCESS), ACCESS, ISSUER, NOW) == CLAIMS


@pytest.mark.parametrize("name", CORPUS)
def test_a_forged_token_is_not(name: str):
    with pytest.raises(BadToken):
        CHECKER.check(CORPUS[name], ACCESS, ISSUER, NOW)


def test_clocks_may_differ_by_a_minute_and_no_more():
    token = SIGNER.sign(CLAIMS, ACCESS)
    for late in (timedelta(seconds=900), timedelta(seconds=900) + LEEWAY - timedelta(seconds=1)):
        CHECKER.check(token, ACCESS, ISSUER, NOW + late)
    with pytest.raises(BadToken, match="expired"):
        CHECKER.check(token, ACCESS, ISSUER, NOW + timedelta(seconds=900) + LEEWAY)


def test_a_token_that_was_believed_is_no_other_kind_nor_somebody_elses_nor_good_for_ever():
    checker, token = Checker.of(ISSUER, [jwk_of("k1", SEED)]), SIGNER.sign(CLAIMS, ACCESS)
    for _ in range(2):
        assert checker.check(token, ACCESS, ISSUER, NOW) == CLAIMS
    for kind, audience, late in ((ID, ISSUER, 0), (ACCESS, "https://elsewhere.example", 0), (ACCESS, ISSUER, 3600)):
        with pytest.raises(BadToken):
            checker.check(token, kind, audience, NOW + timedelta(seconds=late))
    with pytest.raises(BadToken):
        Checker.of(ISSUER, [jwk_of("k2", SEED)]).check(token, ACCESS, ISSUER, NOW)


def test_the_same_claims_are_signed_the_same_whoever_simulates_them():
    assert SIGNER.sign(CLAIMS, ID) == SIGNER.sign(CLAIMS, ID)


def test_a_key_in_the_store_opens_with_the_shops_secret_alone():
    fixed = b"\x07" * 12
    sealed = Sealer("old", "keys", lambda size: fixed[:size]).seal(SEED, "k1")
    assert SEED.hex() not in sealed
    assert Sealer("new,old", "keys", lambda size: fixed).open(sealed, "k1") == SEED, "two secrets overlap"
    assert Sealer("new", "keys", lambda size: fixed).open(sealed, "k1") is None
    assert Sealer("old", "other", lambda size: fixed).open(sealed, "k1") is None
    assert Sealer("old", "keys", lambda size: fixed).open(sealed, "k2") is None
