"""Passkeys where no device tells the truth; that true ones open is seen in a browser (tests/browser/test_passkeys.py)."""

from __future__ import annotations

import json

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.model.passkeys import Passkey
from torg.contexts.user.tests.house import GOOD, House
from torg.kit.errors import DomainError, Invalid, NotFound, Unauthenticated
from torg.kit.testing import START

MADE_UP = ("", "{}", "[]", "not json", '{"id": 5}', json.dumps({"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}}))


async def test_a_passkey_is_begun_with_the_password_for_this_shops_host_alone(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    with pytest.raises(Invalid):
        await house.do(c.BeginPasskey(holder=me, password="wrong-guess-1"))
    asked = json.loads((await house.do(c.BeginPasskey(holder=me, password=GOOD))).options)
    assert asked["rp"]["id"] == "torg.example"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"


async def test_made_up_answers_open_and_add_nothing(house: House):
    await house.register()
    me = await house.holder(await house.sign_in())
    kept = Passkey(id="000000", user_id=me.user_id, name="Mine", public_key="00", sign_count=0, made_at=START)
    async with house.deps.transaction() as tx:
        await house.deps.passkeys.add(tx, kept)
    for credential in MADE_UP:
        begun, coming = await house.do(c.BeginPasskey(holder=me, password=GOOD)), await house.do(c.BeginPasskeySignIn())
        for ticket in (begun.ticket, coming.ticket, "made-up", ""):
            with pytest.raises(DomainError):
                await house.do(c.AddPasskey(holder=me, ticket=ticket, credential=credential))
            with pytest.raises(Unauthenticated):
                await house.do(c.SignInWithPasskey(ticket=ticket, credential=credential))
    assert [one.name for one in (await house.do(c.ListPasskeys(me))).items] == ["Mine"]


async def test_people_remove_their_own_passkeys_alone(house: House):
    await house.register()
    await house.register("boris@example.com")
    me, other = await house.holder(await house.sign_in()), await house.holder(await house.sign_in("boris@example.com"))
    async with house.deps.transaction() as tx:
        await house.deps.passkeys.add(tx, Passkey(id="ab", user_id=me.user_id, name="Mine", public_key="00", sign_count=0, made_at=START))
    with pytest.raises(NotFound):
        await house.do(c.RemovePasskey(other, "ab"))
    await house.do(c.RemovePasskey(me, "ab"))
    assert (await house.do(c.ListPasskeys(me))).items == ()
