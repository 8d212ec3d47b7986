"""Tokens of programs that are bound to a key (DPoP): who has the token alone has nothing; all others go on as they are."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.tests.house import ISSUER, House
from torg.kit.http.identifying import SESSION_COOKIE
from torg.kit.testing.http import Answer, ask
from torg.kit.testing.proving import Holder, forged_proofs, hash_of
from torg.kit.tokens import ACCESS

BACK, TOKEN, PATH = "https://ledger.example/back", "/oauth/token", "/api/v1/users/me/addresses"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
FORM = "application/x-www-form-urlencoded"


class Program:
    """A client that Anna has let in, which holds a key."""

    def __init__(self, house: House, client: c.NewClient) -> None:
        self.house, self.client, self.holder = house, client, Holder()

    async def let_in(self, proof: str | None = None, **headers: str) -> Answer:
        """`proof`: none where it is empty; a good one where it isn't given."""
        who = await self.house.holder(await self.house.sign_in())
        asked = c.Authorization(
            client_id=self.client.id, redirect_uri=BACK, response_type="code", scope=" ".join(self.client.scopes), code_challenge=CHALLENGE,
            code_challenge_method="S256",
        )  # fmt: skip
        sent = await self.house.do(c.AnswerAuthorization(asked=asked, holder=who, allowed=True))
        code = parse_qs(urlsplit(sent.where).query)["code"][0]
        return await self.ask({"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}, proof, **headers)

    async def refresh(self, token: str, proof: str | None = None) -> Answer:
        return await self.ask({"grant_type": "refresh_token", "refresh_token": token}, proof)

    async def ask(self, form: Mapping[str, str], proof: str | None = None, path: str = TOKEN, **headers: str) -> Answer:
        proof = self.holder.proof("POST", ISSUER + TOKEN, self.house.clock()) if proof is None else proof
        who = {"client_id": self.client.id, **({"client_secret": self.client.client_secret} if self.client.client_secret else {})}
        sent: dict[str, Any] = {"content_type": FORM, **({"dpop": proof} if proof else {}), **headers}
        return await ask(self.house.app, "POST", path, raw=urlencode({**who, **form}).encode(), **sent)

    def proof(self, token: str, **changes: Any) -> str:
        return self.holder.proof("GET", ISSUER + PATH, self.house.clock(), token, **changes)


async def program(house: House, confidential: bool = False, **more: Any) -> Program:
    if await house.deps.users.find_by_email("anna@example.com") is None:
        await house.register()
    given = {"name": "Ledger", "redirect_uris": (BACK,), "scopes": ("openid", "offline_access", "account:read"), "confidential": confidential, **more}
    return Program(house, await house.do(c.AddClient(**given)))


async def see(house: House, token: str, proof: str = "", scheme: str = "DPoP") -> Answer:
    headers: dict[str, Any] = {"dpop": proof} if proof else {}
    return await ask(house.app, "GET", PATH, authorization=f"{scheme} {token}", **headers)


@pytest.mark.parametrize("confidential", [False, True])
async def test_a_bound_token_opens_with_a_proof_of_its_key_and_with_nothing_else(house: House, confidential: bool) -> None:
    ledger = await program(house, confidential)
    given = (await ledger.let_in()).json
    assert given["token_type"] == "DPoP"
    token = given["access_token"]
    claims = (await house.deps.keys.checker(house.clock())).check(token, ACCESS, ISSUER, house.clock())
    assert claims.cnf == {"jkt": ledger.holder.thumbprint}

    assert (await see(house, token, ledger.proof(token))).status == 200
    stolen = await see(house, token, scheme="Bearer")
    assert (stolen.status, stolen.json["code"]) == (401, "dpop.invalid_token")
    assert stolen.headers["www-authenticate"] == 'DPoP error="invalid_token", algs="ES256 EdDSA"'
    assert (await see(house, token, ledger.proof(token), "Bearer")).status == 401, "the scheme is DPoP"
    unproven = await see(house, token)
    assert (unproven.status, unproven.headers["www-authenticate"]) == (401, 'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA"')
    page = await ask(house.app, "GET", PATH, cookie=f"{SESSION_COOKIE}={token}")
    assert page.status == 401


async def test_no_forged_proof_opens_anything(house: House) -> None:
    ledger = await program(house)
    token = (await ledger.let_in()).json["access_token"]
    for name, proof in forged_proofs(ledger.holder, "GET", ISSUER + PATH, house.clock(), token).items():
        refused = await ask(house.app, "GET", PATH, authorization=f"DPoP {token}", dpop=proof.encode("utf-8", "replace").decode("latin-1"))
        assert (refused.status, refused.headers["www-authenticate"][:4]) == (401, "DPoP"), name
    used = ledger.proof(token)
    assert (await see(house, token, used)).status == 200
    assert (await see(house, token, used)).status == 401, "each is good once"
    assert (await see(house, token, ledger.proof(token))).status == 200


async def test_tokens_without_a_key_go_on_as_they_are(house: House) -> None:
    ledger = await program(house)
    given = (await ledger.let_in(proof="")).json
    token = given["access_token"]
    assert given["token_type"] == "Bearer"
    assert (await see(house, token, scheme="Bearer")).status == 200
    as_bound = await see(house, token, ledger.proof(token))
    assert (as_bound.status, as_bound.json["code"]) == (401, "dpop.invalid_token"), "a proof makes no bound token of it"
    assert (await see(house, "made.up.token", ledger.proof("made.up.token"))).headers["www-authenticate"].startswith("DPoP")
    own = (await house.sign_in()).access_token
    assert (await see(house, own, scheme="Bearer")).status == 200


async def test_a_refresh_token_of_a_program_without_a_secret_is_bound_to_its_key(house: House) -> None:
    ledger, thief = await program(house), Holder()
    given = (await ledger.let_in()).json
    for proof in ("", thief.proof("POST", ISSUER + TOKEN, house.clock())):
        refused = await ledger.refresh(given["refresh_token"], proof)
        assert (refused.status, refused.json["error"]) == (400, "invalid_grant")
    renewed = (await ledger.refresh(given["refresh_token"])).json
    assert renewed["token_type"] == "DPoP", "the thief has ended nothing"
    assert (await see(house, renewed["access_token"], ledger.proof(renewed["access_token"]))).status == 200
    spent = await ledger.refresh(given["refresh_token"])
    assert spent.json["error"] == "invalid_grant"
    assert (await ledger.refresh(renewed["refresh_token"])).json["error"] == "invalid_grant", "reuse with the key ends all"


async def test_a_program_with_a_secret_changes_its_key_when_it_renews(house: House) -> None:
    ledger = await program(house, confidential=True)
    given = (await ledger.let_in()).json
    ledger.holder = Holder()
    renewed = (await ledger.refresh(given["refresh_token"])).json
    assert (await see(house, renewed["access_token"], ledger.proof(renewed["access_token"]))).status == 200
    plain = (await ledger.refresh(renewed["refresh_token"], "")).json
    assert plain["token_type"] == "Bearer"
    assert (await see(house, plain["access_token"], scheme="Bearer")).status == 200


async def test_a_program_that_comes_by_itself_may_have_a_key_too(house: House) -> None:
    user = await house.register()
    partner = await program(house, True, redirect_uris=(), grants=("client_credentials",), scopes=("account:read",), acts_for=user.id)
    given = (await partner.ask({"grant_type": "client_credentials"})).json
    assert given["token_type"] == "DPoP"
    assert (await see(house, given["access_token"], partner.proof(given["access_token"]))).status == 200
    assert (await see(house, given["access_token"], scheme="Bearer")).status == 401


async def test_a_bad_proof_gets_no_token_and_spends_no_code(house: House) -> None:
    ledger = await program(house)
    old = ledger.holder.proof("POST", ISSUER + TOKEN, house.clock(), iat=int(house.clock().timestamp()) - 300)
    refused = await ledger.let_in(old)
    assert (refused.status, refused.json["error"]) == (400, "invalid_dpop_proof")
    assert "another time" in refused.json["error_description"]
    elsewhere = await ledger.let_in(ledger.holder.proof("POST", "https://evil.example/oauth/token", house.clock()))
    assert "htu has to be https://torg.example/oauth/token" in elsewhere.json["error_description"]
    assert (await ledger.let_in()).status == 200


async def test_what_is_told_of_a_bound_token_names_its_key(house: House) -> None:
    ledger = await program(house, confidential=True)
    token = (await ledger.let_in()).json["access_token"]
    told = (await ledger.ask({"token": token}, "", "/oauth/introspect")).json
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "DPoP", {"jkt": ledger.holder.thumbprint})
    about = (await ask(house.app, "GET", "/.well-known/openid-configuration")).json
    assert about["dpop_signing_alg_values_supported"] == ["ES256", "EdDSA"]
    info = await ask(
        house.app, "GET", "/oauth/userinfo", authorization=f"DPoP {token}",
        dpop=ledger.holder.proof("GET", ISSUER + "/oauth/userinfo", house.clock(), token, ath=hash_of(token)),
    )  # fmt: skip
    assert info.status == 200
