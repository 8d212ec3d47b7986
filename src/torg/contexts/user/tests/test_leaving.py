"""Signing out that begins at a program, and programs that are told of it: again and again, and not for ever."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.oauth.leaving import tell_of_logouts
from torg.contexts.user.model.oauth import LONGEST_PAUSE, TRIES
from torg.contexts.user.tests.house import ISSUER, House
from torg.kit.auth import Identity
from torg.kit.errors import DomainError
from torg.kit.tokens import LOGOUT

BACK, BYE, HEAR = "https://ledger.example/back", "https://ledger.example/bye", "https://ledger.example/hear"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


async def client(house: House, **more: object) -> c.NewClient:
    given = {"name": "Ledger", "redirect_uris": (BACK,), "logout_uris": (BYE,), "backchannel_uri": HEAR, "scopes": ("openid", "offline_access")}
    made: c.NewClient = await house.do(c.AddClient(**{**given, **more}))  # type: ignore[arg-type]
    return made


async def let_in(house: House, program: c.NewClient, who: Identity, scope: str = "openid") -> c.ClientTokens:
    asked = c.Authorization(client_id=program.id, redirect_uri=BACK, response_type="code", scope=scope, code_challenge=CHALLENGE, code_challenge_method="S256")
    sent = await house.do(c.AnswerAuthorization(asked=asked, holder=who, allowed=True))
    code = parse_qs(urlsplit(sent.where).query)["code"][0]
    exchange = {"client_id": program.id, "client_secret": program.client_secret, "redirect_uri": BACK, "code_verifier": VERIFIER}
    tokens: c.ClientTokens = await house.do(c.ExchangeToken(grant_type="authorization_code", code=code, **exchange))
    return tokens


async def visitor(house: House, email: str = "anna@example.com") -> Identity:
    await house.register(email)
    return await house.holder(await house.sign_in(email))


async def test_a_grant_ends_with_the_session_it_was_given_in_unless_it_is_offline(house: House) -> None:
    anna, program = await visitor(house), await client(house)
    bound, offline = await let_in(house, program, anna), await let_in(house, program, anna, "openid offline_access")
    await house.do(c.SignOut(anna))
    alive = [await house.do(c.Authenticate(tokens.access_token)) is not None for tokens in (bound, offline)]
    assert alive == [False, True]
    await tell_of_logouts(house.deps)
    assert [uri for uri, _ in house.told.sent] == [HEAR, HEAR], "both are told"


async def test_a_program_that_is_away_is_told_again_and_given_up_in_the_end(house: House) -> None:
    anna, program = await visitor(house), await client(house)
    await let_in(house, program, anna)
    house.told.away = True
    await house.do(c.SignOut(anna))
    for _ in range(3):
        await tell_of_logouts(house.deps)
        house.clock.advance(seconds=LONGEST_PAUSE.total_seconds())
    house.told.away = False
    await tell_of_logouts(house.deps)
    (told,) = house.told.sent
    claims = (await house.deps.keys.checker(house.clock())).check(told[1]["logout_token"], LOGOUT, program.id, house.clock())
    assert (claims.sub, claims.iss, list(claims.events)) == (anna.user_id, ISSUER, ["http://schemas.openid.net/event/backchannel-logout"])
    house.clock.advance(seconds=timedelta(days=1).total_seconds())
    await tell_of_logouts(house.deps)
    assert len(house.told.sent) == 1, "once is enough"


async def test_nobody_is_told_for_ever(house: House) -> None:
    anna, program = await visitor(house), await client(house)
    await let_in(house, program, anna)
    house.told.away = True
    await house.do(c.SignOut(anna))
    for _ in range(TRIES):
        await tell_of_logouts(house.deps)
        house.clock.advance(seconds=LONGEST_PAUSE.total_seconds())
    house.told.away = False
    await tell_of_logouts(house.deps)
    assert house.told.sent == []


async def test_whoever_was_let_in_is_told_when_everything_ends(house: House) -> None:
    anna, program, quiet = await visitor(house), await client(house), await client(house, name="Quiet", backchannel_uri="")
    tokens = [await let_in(house, one, anna) for one in (program, quiet)]
    await house.do(c.EraseMe(anna))
    assert [await house.do(c.Authenticate(one.access_token)) for one in tokens] == [None, None]
    await tell_of_logouts(house.deps)
    assert [uri for uri, _ in house.told.sent] == [HEAR]


async def test_a_hint_is_certain_of_whoever_is_signed_in_alone(house: House) -> None:
    anna, boris, program = await visitor(house), await visitor(house, "boris@example.com"), await client(house)
    hint = (await let_in(house, program, anna)).id_token
    house.clock.advance(seconds=timedelta(hours=1).total_seconds())

    async def leaving(who: Identity | None, **asked: str) -> c.Leaving:
        found: c.Leaving = await house.do(c.CheckLeaving(c.LeaveRequest(**{"id_token_hint": hint, **asked}), who))
        return found

    assert (await leaving(anna)).certain, "an old hint still tells who sends them"
    assert not (await leaving(boris)).certain
    assert not (await leaving(None)).certain
    assert not (await leaving(anna, id_token_hint=hint[:-4] + "AAAA")).certain
    assert (await leaving(anna, post_logout_redirect_uri=BYE, state="a b")).where == f"{BYE}?state=a+b"
    assert (await leaving(anna, id_token_hint="", client_id=program.id, post_logout_redirect_uri=BYE)).where == BYE
    other = await client(house, name="Other", logout_uris=("https://other.example/",))
    for wrong in (
        {"post_logout_redirect_uri": "https://evil.example/"},
        {"post_logout_redirect_uri": BYE, "id_token_hint": ""},
        {"post_logout_redirect_uri": "https://other.example/", "client_id": other.id},
    ):
        with pytest.raises(DomainError) as refusal:
            await leaving(anna, **wrong)
        assert refusal.value.code == "oauth.redirect_unknown"
