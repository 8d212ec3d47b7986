"""Passwords of the staff where a shop keeps PCI DSS to the letter; everybody else's are as ever."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.recovery import send_resets
from torg.contexts.user.tests.house import GOOD, House
from torg.kit.auth import Role
from torg.kit.errors import Forbidden, Invalid, Unauthenticated

SHORT = "x7#kQ!m2"


@pytest.fixture
def strict(house: House) -> House:
    return House(replace(house.deps, strict_with_staff=True), house.clock)


async def employed(house: House, password: str = GOOD, role: Role = Role.SUPPORT) -> c.User:
    user = await house.register(password=password)
    await house.do(c.GrantRoles(user_id=user.id, roles=(role,)))
    return user


async def changed(house: House, before: str, after: str) -> None:
    holder = await house.holder(await house.sign_in(password=before))
    await house.do(c.ChangePassword(holder=holder, current_password=before, new_password=after))


async def reset(house: House, user: c.User, password: str) -> None:
    await house.do(c.RequestReset(email=user.email, address="10.0.0.1"))
    await send_resets(house.deps)
    token = (await house.link_of(user.id, "reset")).path.partition("token=")[2]
    for weak in ("elevenchar1", "letters only here", "1357924680864213"):
        with pytest.raises(Invalid, match="12 characters or more"):
            await house.do(c.ResetPassword(token=token, new_password=weak))
    await house.do(c.ResetPassword(token=token, new_password=password))


async def former(house: House) -> int:
    count: int = await house.deps.store.database.value("select count(*) from former_password")
    return count


async def test_passwords_of_the_staff_are_long_where_the_shop_keeps_pci_to_the_letter(strict: House) -> None:
    user = await employed(strict)
    for weak in (SHORT, "elevenchar1", "letters only here", "1357924680864213"):
        with pytest.raises(Invalid) as refused:
            await changed(strict, GOOD, weak)
        assert [(error.field, error.code) for error in refused.value.errors] == [("new_password", "of_staff")], weak
    await changed(strict, GOOD, "twelve chars 12")
    await reset(strict, user, "harbour kettle 42")
    assert (await strict.sign_in(password="harbour kettle 42")).access_token


async def test_none_of_the_last_four_passwords_comes_back(strict: House) -> None:
    user = await employed(strict)
    had = [GOOD, *(f"Kettle-Harbour-4{n}" for n in range(4))]
    for before, after in pairwise(had):
        await changed(strict, before, after)
    for again in had[1:]:
        with pytest.raises(Invalid) as refused:
            await changed(strict, had[-1], again)
        assert [error.code for error in refused.value.errors] == ["former"], again
    assert await former(strict) == 3, "besides the present one"
    await strict.do(c.RequestReset(email=user.email, address="10.0.0.1"))
    await send_resets(strict.deps)
    token = (await strict.link_of(user.id, "reset")).path.partition("token=")[2]
    with pytest.raises(Invalid, match="last 4 passwords"):
        await strict.do(c.ResetPassword(token=token, new_password=had[2]))
    await strict.do(c.ResetPassword(token=token, new_password=GOOD))
    assert (await strict.sign_in()).access_token, "the fifth is free again, and the link was good for another try"
    await strict.do(c.EraseMe(await strict.holder(await strict.sign_in())))
    assert await former(strict) == 0


async def test_whoever_begins_to_work_here_or_has_a_short_password_takes_a_longer_one(strict: House) -> None:
    user = await strict.register(password=SHORT)
    tokens = await strict.sign_in(password=SHORT)
    await strict.do(c.GrantRoles(user_id=user.id, roles=(Role.WAREHOUSE,)))
    assert await strict.do(c.Authenticate(tokens.access_token)) is None
    with pytest.raises(Unauthenticated):
        await strict.sign_in(password="wrong")
    with pytest.raises(Forbidden) as refused:
        await strict.sign_in(password=SHORT)
    assert refused.value.code == "session.password_outgrown"
    await reset(strict, user, "harbour kettle 42")
    tokens = await strict.sign_in(password="harbour kettle 42")
    await strict.do(c.GrantRoles(user_id=user.id, roles=(Role.WAREHOUSE, Role.SUPPORT)))
    assert await strict.do(c.Authenticate(tokens.access_token)), "they worked here before"


async def test_everybody_elses_passwords_are_as_ever(house: House, strict: House) -> None:
    user = await strict.register(password=SHORT)
    await changed(strict, SHORT, "another8")
    await changed(strict, "another8", SHORT)
    await house.do(c.GrantRoles(user_id=user.id, roles=(Role.SUPPORT,)))
    await changed(house, SHORT, "another8")
    await changed(house, "another8", SHORT)
    assert await former(strict) == 0, "and nothing is kept of them, nor of the staff where the shop does not ask for it"
