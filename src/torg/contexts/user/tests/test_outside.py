"""Signing in with a provider outside: whom to believe, and whom to link with whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.adapters.provider_oidc import OidcProvider
from torg.contexts.user.adapters.sessions_sql import SqlSessionStore
from torg.contexts.user.tests.house import GOOD, House
from torg.contexts.user.tests.test_factors import set_up
from torg.kit.auth import Identity, Role
from torg.kit.errors import DomainError, Forbidden, Unauthenticated, Unavailable
from torg.kit.testing.forging import forged
from torg.kit.tokens import ID, Claims, Signer, jwk_of, private_key

PROVIDER = "https://id.example"
SEED = b"\x09" * 32
SIGNER = Signer("p1", private_key("p1", SEED))
DESCRIBED = {
    "issuer": PROVIDER, "authorization_endpoint": f"{PROVIDER}/authorize", "token_endpoint": f"{PROVIDER}/token", "jwks_uri": f"{PROVIDER}/keys",
    "userinfo_endpoint": f"{PROVIDER}/userinfo",
}  # fmt: skip


@pytest.fixture
def house(house: House) -> House:
    provider = OidcProvider(PROVIDER, "shop", "secret", "https://torg.example/sign-in/outside/back", house.told, house.clock)
    house.deps = replace(house.deps, provider=provider)
    house.told.answers |= {
        f"{PROVIDER}/.well-known/openid-configuration": DESCRIBED,
        f"{PROVIDER}/keys": {"keys": [msgspec.to_builtins(jwk_of("p1", SEED))]},
    }
    return house


def claims(house: House, nonce: str, **more: Any) -> Claims:
    at = int(house.clock().timestamp())
    said = {"email": "anna@example.com", "email_verified": True, "name": "Anna Petrova", **more}
    return Claims(**{"iss": PROVIDER, "aud": "shop", "sub": "p-anna", "iat": at, "exp": at + 300, "nonce": nonce, **said})


async def leave(house: House) -> tuple[c.Departure, dict[str, str]]:
    departure = await house.do(c.LeaveForProvider("/orders"))
    return departure, {name: values[0] for name, values in parse_qs(urlsplit(departure.where).query).items()}


async def arrive(house: House, token: str | None = None, **more: Any) -> c.Arrival:
    departure, asked = await leave(house)
    made = SIGNER.sign(claims(house, asked["nonce"], **more), ID) if token is None else token
    house.told.answers[f"{PROVIDER}/token"] = {"access_token": "a", "id_token": made}
    arrival: c.Arrival = await house.do(c.ArriveFromProvider(kept=departure.kept, state=asked["state"], code="c", iss=PROVIDER))
    return arrival


async def test_the_browser_is_sent_with_all_that_keeps_others_out(house: House) -> None:
    departure, asked = await leave(house)
    assert departure.where.startswith(f"{PROVIDER}/authorize?")
    assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == ("shop", "code", "S256")
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    assert asked["nonce"] not in departure.kept, "what it keeps is sealed"
    await arrive(house)
    sent = house.told.sent[-1][1]
    assert sent["redirect_uri"] == "https://torg.example/sign-in/outside/back"
    assert sent["code_verifier"]


async def test_whoever_is_new_gets_an_account_that_no_password_opens(house: House) -> None:
    arrival = await arrive(house)
    assert arrival.tokens is not None
    who = await house.holder(arrival.tokens)
    profile = (await house.deps.users.find(who.user_id)) or pytest.fail("no account")
    assert (profile.email, profile.full_name, arrival.next) == ("anna@example.com", "Anna Petrova", "/orders")
    with pytest.raises(Unauthenticated):
        await house.sign_in(password="!")
    again = await arrive(house, email="anna.new@example.com")
    assert again.tokens is not None
    assert (await house.holder(again.tokens)).user_id == who.user_id, "it is the subject that counts"
    assert (await house.log_of(who.user_id)).count("user.outside_linked") == 1


async def test_an_account_that_is_there_wants_its_password_once_whatever_the_provider_says(house: House) -> None:
    user = await house.register()
    arrival = await arrive(house)
    assert arrival.tokens is None
    assert arrival.email == "anna@example.com"
    with pytest.raises(Unauthenticated):
        await house.do(c.LinkOutside(kept=arrival.kept, password="wrong-guess-1"))
    with pytest.raises(DomainError, match="not confirmed here"):
        await house.do(c.LinkOutside(kept=arrival.kept, password=GOOD))
    await house.do(c.ConfirmEmail((await house.link_of(user.id, "confirm")).path.partition("token=")[2]))
    linked = await house.do(c.LinkOutside(kept=arrival.kept, password=GOOD))
    assert (await house.holder(linked.tokens)).user_id == user.id
    assert (await arrive(house)).tokens is not None


async def test_an_unverified_address_opens_nothing(house: House) -> None:
    for more in ({"email_verified": False}, {"email": ""}):
        house.told.answers[f"{PROVIDER}/userinfo"] = {"sub": "p-anna"}
        with pytest.raises(DomainError, match="not verified"):
            await arrive(house, **more)
    assert await house.deps.users.find_by_email("anna@example.com") is None


async def test_what_is_no_true_id_token_of_this_sign_in_opens_nothing(house: House) -> None:
    _, asked = await leave(house)
    wrong = {
        "another nonce": SIGNER.sign(claims(house, "other"), ID),
        "nobody's nonce": SIGNER.sign(claims(house, ""), ID),
        **{name: token for name, token in forged(SIGNER, claims(house, asked["nonce"])).items() if name not in ("future", "another header")},
    }
    for name, token in wrong.items():
        with pytest.raises(Unauthenticated) as refusal:
            await arrive(house, token)
        assert refusal.value.code == "outside.refused", name
    assert await house.deps.users.find_by_email("anna@example.com") is None


@pytest.mark.parametrize("more", [{"aud": "another"}, {"iss": "https://evil.example"}, {"exp": 1}, {"iat": 99_999_999_999, "exp": 99_999_999_999}])
async def test_a_token_for_others_or_another_time_opens_nothing(house: House, more: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await arrive(house, **more)


async def test_userinfo_of_somebody_else_is_not_believed(house: House) -> None:
    house.told.answers[f"{PROVIDER}/userinfo"] = {"sub": "p-boris", "email": "boris@example.com", "email_verified": True}
    with pytest.raises(Unauthenticated, match="two people"):
        await arrive(house, email="")


async def test_a_sign_in_that_took_too_long_or_was_touched_is_begun_anew(house: House) -> None:
    departure, asked = await leave(house)
    for kept, state in ((departure.kept, "x"), (departure.kept[:-2] + "00", asked["state"]), ("", asked["state"]), ("zz", asked["state"])):
        with pytest.raises(Unauthenticated):
            await house.do(c.ArriveFromProvider(kept=kept, state=state, code="c"))
    claim = (await arrive_at_account(house)).kept
    with pytest.raises(Unauthenticated):
        await house.do(c.ArriveFromProvider(kept=claim, state=asked["state"], code="c"))
    house.clock.advance(seconds=timedelta(minutes=11).total_seconds())
    with pytest.raises(Unauthenticated):
        await house.do(c.ArriveFromProvider(kept=departure.kept, state=asked["state"], code="c"))
    with pytest.raises(Unauthenticated):
        await house.do(c.LinkOutside(kept=claim, password=GOOD))


async def arrive_at_account(house: House) -> c.Arrival:
    user = await house.register()
    await house.do(c.ConfirmEmail((await house.link_of(user.id, "confirm")).path.partition("token=")[2]))
    return await arrive(house)


# ---------------------------------------------------------------- second factors


async def linked(house: House) -> Identity:
    """Somebody who has an account here, an app that shows codes, and is linked."""
    claim = await arrive_at_account(house)
    arrival = await house.do(c.LinkOutside(kept=claim.kept, password=GOOD))
    assert arrival.tokens
    return await house.holder(arrival.tokens)


def believing(house: House, *words: str) -> None:
    house.deps = replace(house.deps, provider_factors=frozenset(words))


async def test_whoever_has_a_second_factor_is_asked_for_it_there_too(house: House) -> None:
    me = await linked(house)
    app, codes = await set_up(house, me)
    came = await arrive(house, amr=("pwd", "mfa"))
    assert (came.tokens, came.next, set(came.ways)) == (None, "/orders", {"totp", "recovery_code"})
    with pytest.raises(Unauthenticated):
        await house.do(c.GiveCode(ticket=came.ticket, code="000000"))
    assert (await house.holder(await house.do(c.GiveCode(ticket=came.ticket, code=app.code())))).user_id == me.user_id
    assert (await house.do(c.GiveCode(ticket=(await arrive(house)).ticket, code=codes[0]))).access_token


@pytest.mark.parametrize(("said", "enough"), [({"amr": ("pwd", "mfa")}, True), ({"acr": "mfa"}, True), ({"amr": ("pwd",)}, False), ({}, False)])
async def test_a_provider_that_is_believed_for_it_has_asked_already(house: House, said: dict[str, Any], enough: bool) -> None:
    me = await linked(house)
    await set_up(house, me)
    believing(house, "mfa")
    assert bool((await arrive(house, **said)).tokens) is enough


async def test_an_account_is_linked_only_after_its_second_factor_whatever_the_provider_says(house: House) -> None:
    """Else somebody who knows the password would link an account of their own, and come by it from then on."""
    claim = await arrive_at_account(house)
    me = await house.holder(await house.sign_in())
    app, _ = await set_up(house, me)
    believing(house, "mfa")
    came = await house.do(c.LinkOutside(kept=claim.kept, password=GOOD))
    assert came.tokens is None
    assert (await arrive(house, amr=("mfa",))).tokens is None, "nothing is linked yet"
    await house.do(c.GiveCode(ticket=came.ticket, code=app.code()))
    assert (await arrive(house, amr=("mfa",))).tokens


async def test_staff_who_need_a_second_factor_have_it_where_a_provider_is_believed_for_it(house: House) -> None:
    store = SqlSessionStore(house.deps.store.database, house.clock, staff_factor=True)
    house.deps = replace(house.deps, sessions=store)
    me = await linked(house)
    await house.do(c.GrantRoles(user_id=me.user_id, roles=(Role.CUSTOMER, Role.SUPPORT)))
    believing(house, "mfa")
    for amr, roles in (((), {Role.CUSTOMER}), (("mfa",), {Role.CUSTOMER, Role.SUPPORT})):
        came = await arrive(house, amr=amr)
        assert came.tokens
        assert (await house.holder(came.tokens)).roles == roles, amr


async def test_what_matters_takes_a_sign_in_there_that_is_not_old(house: House) -> None:
    """An account without a password has nothing else to show."""
    now = int(house.clock().timestamp())
    for auth_time, fresh in ((now - 3600, False), (0, False), (now, True)):
        came = await arrive(house, auth_time=auth_time)
        assert came.tokens
        assert (await house.do(c.GetFactors(await house.holder(came.tokens)))).proven is fresh, auth_time
    assert came.tokens
    with pytest.raises(Forbidden) as refused:
        await house.do(c.ProveAgain(holder=await house.holder(came.tokens)))
    assert refused.value.code == "session.sign_in_again"


async def test_to_sign_in_there_anew_is_asked_for_and_looked_at(house: House) -> None:
    for ago, refused in ((3600, True), (0, False)):
        departure = await house.do(c.LeaveForProvider("/orders", anew=True))
        asked = {name: values[0] for name, values in parse_qs(urlsplit(departure.where).query).items()}
        assert (asked["prompt"], asked["max_age"]) == ("login", "0")
        token = SIGNER.sign(claims(house, asked["nonce"], auth_time=int(house.clock().timestamp()) - ago), ID)
        house.told.answers[f"{PROVIDER}/token"] = {"access_token": "a", "id_token": token}
        came = c.ArriveFromProvider(kept=departure.kept, state=asked["state"], code="c", iss=PROVIDER)
        if refused:
            with pytest.raises(Unauthenticated, match="not asked again"):
                await house.do(came)
        else:
            assert (await house.do(came)).tokens


async def test_keys_that_the_provider_has_changed_are_asked_for_again(house: House) -> None:
    await arrive(house)
    house.told.answers[f"{PROVIDER}/keys"] = {"keys": [msgspec.to_builtins(jwk_of("p2", b"\x0a" * 32))]}
    _, asked = await leave(house)
    departure, asked = await leave(house)
    token = Signer("p2", private_key("p2", b"\x0a" * 32)).sign(claims(house, asked["nonce"]), ID)
    house.told.answers[f"{PROVIDER}/token"] = {"access_token": "a", "id_token": token}
    assert (await house.do(c.ArriveFromProvider(kept=departure.kept, state=asked["state"], code="c"))).tokens


@pytest.mark.parametrize(
    "change", [{"issuer": "https://evil.example"}, {"token_endpoint": "http://id.example/token"}, {"jwks_uri": "http://127.0.0.1/keys"}, {"jwks_uri": None}]
)
async def test_a_document_that_leads_astray_is_not_followed(house: House, change: dict[str, object]) -> None:
    house.told.answers[f"{PROVIDER}/.well-known/openid-configuration"] = {**DESCRIBED, **change}
    with pytest.raises(Unavailable):
        await leave(house)


async def test_no_provider_no_sign_in(sql_house: House) -> None:
    with pytest.raises(DomainError, match="TORG_OIDC_ISSUER"):
        await sql_house.do(c.LeaveForProvider("/"))
