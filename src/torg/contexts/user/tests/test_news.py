"""What people hear of their account: sign-ins that are not like those before, another address, sessions that the staff have ended."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.sessions import drop_expired_sessions
from torg.contexts.user.model.devices import FAMILIAR_FOR, network_of
from torg.contexts.user.tests.device import Device
from torg.contexts.user.tests.house import GOOD, ISSUER, House
from torg.kit.errors import NotFound

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CHROME = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"


async def come(house: House, device: str = FIREFOX, address: str = "203.0.113.7") -> c.Tokens:
    tokens: c.Tokens = await house.do(c.SignIn(email="anna@example.com", password=GOOD, device=device, address=address))
    return tokens


async def told(house: House, user_id: str, kind: type[Any] = c.SignedInAnew) -> list[Any]:
    return [row.message for row in await house.deps.store.log.stream(user_id) if isinstance(row.message, kind)]


async def test_a_sign_in_unlike_those_before_is_told_once(house: House) -> None:
    anna = await house.register()
    await come(house)
    await come(house, address="203.0.200.1")
    assert await told(house, anna.id) == [], "the first one, and the same network"
    for _ in range(2):
        await come(house, CHROME)
        await come(house, FIREFOX, "198.51.100.1")
    assert [news.device for news in await told(house, anna.id)] == ["Chrome, Windows", "Firefox, Linux"]


async def test_what_was_not_seen_for_half_a_year_is_new_again(house: House) -> None:
    anna = await house.register()
    await come(house)
    await come(house, CHROME)
    house.clock.advance(seconds=FAMILIAR_FOR.total_seconds() - 60)
    await come(house)
    house.clock.advance(minutes=2)
    await drop_expired_sessions(house.deps)
    await come(house)
    await come(house, CHROME)
    assert [news.device for news in await told(house, anna.id)] == ["Chrome, Windows"] * 2


async def test_a_passkey_is_its_holders_wherever_it_comes_from(house: House) -> None:
    anna = await house.register()
    me = await house.holder(await come(house))
    device = Device(ISSUER)
    begun = await house.do(c.BeginPasskey(holder=me))
    await house.do(c.AddPasskey(holder=me, ticket=begun.ticket, credential=device.make(begun.options)))
    asked = await house.do(c.BeginPasskeySignIn())
    await house.do(c.SignInWithPasskey(ticket=asked.ticket, credential=device.show(asked.options), device=CHROME, address="198.51.100.1"))
    assert await told(house, anna.id) == []


async def test_neither_networks_nor_addresses_are_kept_in_clear_and_nothing_after_erasure(house: House) -> None:
    await house.register()
    me = await house.holder(await come(house))
    rows = await house.deps.store.database.all("select * from familiar")
    assert len(rows) == 1
    assert not [word for word in ("203.0", "cb00 ", "Firefox") if word in str(dict(rows[0]))]
    await house.do(c.EraseMe(me))
    assert await house.deps.store.database.all("select * from familiar") == []


@pytest.mark.parametrize(
    ("address", "network"), [("203.0.113.7", "cb00"), ("2001:db8:1:2::7", "20010db8"), ("", ""), ("unix:", ""), ("::ffff:203.0.113.7", "cb00")]
)
def test_a_network_is_the_beginning_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_the_address_of_before_hears_of_the_new_one_and_no_log_names_it(house: House) -> None:
    anna = await house.register()
    me = await house.holder(await come(house))
    await house.do(c.ChangeProfile(holder=me, email="new@example.com"))
    await house.do(c.ConfirmEmail((await house.link_of(anna.id, "confirm")).path.partition("token=")[2]))
    (event,) = await told(house, anna.id, c.EmailChanged)
    assert "anna@example.com" not in msgspec.json.encode(event).decode()
    opened = house.deps.letters.open(event.sealed, event.link_id)
    assert opened
    assert msgspec.json.decode(opened, type=c.Link).to == "anna@example.com"
    await house.do(c.EraseMe(me))
    assert [event.sealed for event in await told(house, anna.id, c.EmailChanged)] == [""]


async def test_confirming_the_address_one_has_is_no_news(house: House) -> None:
    anna = await house.register()
    await house.do(c.ConfirmEmail((await house.link_of(anna.id, "confirm")).path.partition("token=")[2]))
    assert await told(house, anna.id, c.EmailChanged) == []


async def test_the_staff_see_and_end_sessions_and_nobody_learns_a_token(house: House) -> None:
    anna = await house.register()
    first, second, third = [await come(house) for _ in range(3)]
    found = (await house.do(c.ListSessionsOf(anna.id))).items
    assert len(found) == 3
    assert not any(token in str(found) for tokens in (first, second, third) for token in (tokens.access_token, tokens.refresh_token))
    ended = (await house.holder(first)).session_id
    await house.do(c.EndSessionOf(anna.id, ended))
    assert await house.do(c.Authenticate(first.access_token)) is None
    assert await house.do(c.Authenticate(second.access_token))
    await house.do(c.EndSessionsOf(anna.id))
    assert await house.do(c.Authenticate(second.access_token)) is None
    assert [len(event.sessions) for event in await told(house, anna.id, c.SessionsEnded)] == [1, 2]
    await house.do(c.EndSessionsOf(anna.id))
    assert len(await told(house, anna.id, c.SessionsEnded)) == 2, "there was nothing to tell"
    boris = await house.register("boris@example.com")
    await house.sign_in("boris@example.com")
    (his,) = (await house.do(c.ListSessionsOf(boris.id))).items
    for message in (c.EndSessionOf(anna.id, his.id), c.EndSessionOf(anna.id, "none"), c.ListSessionsOf("nobody"), c.EndSessionsOf("nobody")):
        with pytest.raises(NotFound):
            await house.do(message)
