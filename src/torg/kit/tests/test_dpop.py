"""Proofs of possession: each is believed once, for its request and its token."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from torg.kit.dpop import BadProof, Proofs, read, token_hash
from torg.kit.redis import Redis
from torg.kit.testing import TestClock
from torg.kit.testing.proving import Holder, forged_proofs
from torg.kit.testing.redis import emptied, redis_url

__all__ = ["redis_url"]

SHOP, PATH, TOKEN = "https://torg.example", "/api/v1/orders", "eyJ.a.token"
URL = SHOP + PATH


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def proofs(clock: TestClock) -> Proofs:
    return Proofs(SHOP, clock)


@pytest.mark.parametrize("holder", [Holder(), Holder(Ed25519PrivateKey.generate())], ids=["ES256", "EdDSA"])
async def test_whoever_holds_the_key_is_known_by_its_thumbprint(proofs: Proofs, clock: TestClock, holder: Holder) -> None:
    assert await proofs.holder(holder.proof("GET", URL, clock(), TOKEN), "GET", PATH, TOKEN) == holder.thumbprint
    assert await proofs.holder(holder.proof("POST", f"{SHOP}/oauth/token", clock()), "POST", "/oauth/token") == holder.thumbprint


async def test_no_forged_proof_is_believed(proofs: Proofs, clock: TestClock) -> None:
    holder = Holder()
    corpus = forged_proofs(holder, "GET", URL, clock(), TOKEN)
    for name, proof in corpus.items():
        try:
            whose = await proofs.holder(proof, "GET", PATH, TOKEN)
        except BadProof:
            continue
        assert whose != holder.thumbprint, name
        assert name == "the thief's key", "a good proof, of another key"
    assert await proofs.holder(holder.proof("GET", URL, clock(), TOKEN), "GET", PATH, TOKEN) == holder.thumbprint, "and an honest one is"


async def test_a_proof_is_good_once_for_as_long_as_it_is_fresh(proofs: Proofs, clock: TestClock) -> None:
    holder = Holder()
    early = holder.proof("GET", URL, clock() + timedelta(seconds=59), TOKEN)
    assert await proofs.holder(early, "GET", PATH, TOKEN)
    for _ in range(4):
        with pytest.raises(BadProof, match="used before"):
            await proofs.holder(early, "GET", PATH, TOKEN)
        clock.advance(seconds=29)
    clock.advance(seconds=10)
    with pytest.raises(BadProof, match="another time"):
        await proofs.holder(early, "GET", PATH, TOKEN)
    assert await proofs.holder(Holder().proof("GET", URL, clock(), TOKEN, jti="x"), "GET", PATH, TOKEN)
    assert await proofs.holder(Holder().proof("GET", URL, clock(), TOKEN, jti="x"), "GET", PATH, TOKEN), "an id is its key's own"


@pytest.mark.parametrize("url", [f"{URL}?page=2#top", "HTTPS://TORG.example:443/api/v1/orders", f"{SHOP}/api/v1/%6Frders"])
async def test_an_address_is_the_same_however_it_is_written(proofs: Proofs, clock: TestClock, url: str) -> None:
    assert await proofs.holder(Holder().proof("GET", url, clock(), TOKEN), "GET", PATH, TOKEN)


def test_the_example_of_the_rfc_is_read() -> None:
    """RFC 9449, section 4.1; its key's thumbprint is in section 6.1."""
    proof = read(
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
        "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIj"
        "oiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg"
        "4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    )
    assert (proof.htm, proof.htu, proof.iat) == ("POST", "https://server.example.com/token", 1562262616)
    assert proof.thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert token_hash("x") == urlsafe_b64encode(hashlib.sha256(b"x").digest()).decode().rstrip("=")


async def test_processes_that_share_a_redis_believe_a_proof_once_among_them(clock: TestClock, redis_url: str) -> None:
    async with emptied(redis_url) as redis, emptied(redis_url) as other:
        here, there = Proofs(SHOP, clock, redis), Proofs(SHOP, clock, other)
        proof = Holder().proof("GET", URL, clock(), TOKEN)
        assert await here.holder(proof, "GET", PATH, TOKEN)
        with pytest.raises(BadProof, match="used before"):
            await there.holder(proof, "GET", PATH, TOKEN)
        assert await there.holder(Holder().proof("GET", URL, clock(), TOKEN), "GET", PATH, TOKEN)


async def test_proofs_are_believed_while_redis_is_away(clock: TestClock) -> None:
    away = Redis("redis://127.0.0.1:9")
    proofs, proof = Proofs(SHOP, clock, away), Holder().proof("GET", URL, clock(), TOKEN)
    assert await proofs.holder(proof, "GET", PATH, TOKEN)
    with pytest.raises(BadProof, match="used before"):
        await proofs.holder(proof, "GET", PATH, TOKEN)
    await away.close()
