"""How a shop comes by somebody who works there."""

from __future__ import annotations

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.staff import appoint_first_admin
from torg.contexts.user.tests.house import House
from torg.kit.auth import Role

ANNA, BORIS = "anna@example.com", "boris@example.com"


async def confirmed(house: House, email: str) -> c.User:
    user = await house.register(email)
    await house.do(c.ConfirmEmail((await house.link_of(user.id, "confirm")).path.partition("token=")[2]))
    return user


async def is_admin(house: House, email: str) -> bool:
    return Role.ADMIN in (await house.holder(await house.sign_in(email))).roles


async def test_whoever_the_operator_has_named_is_the_first_administrator_once_the_address_is_confirmed(house: House) -> None:
    await appoint_first_admin(ANNA, house.deps)
    anna = await house.register(ANNA)
    await appoint_first_admin(ANNA, house.deps)
    assert not await is_admin(house, ANNA), "anybody can register with it"
    tokens = await house.sign_in(ANNA)
    await house.do(c.ConfirmEmail((await house.link_of(anna.id, "confirm")).path.partition("token=")[2]))
    await appoint_first_admin(ANNA.upper(), house.deps)
    assert Role.ADMIN in (await house.holder(tokens)).roles
    before = len(await house.log_of(anna.id))
    await appoint_first_admin(ANNA, house.deps)
    assert len(await house.log_of(anna.id)) == before


async def test_a_shop_that_has_an_administrator_gets_no_other_one_by_itself(house: House) -> None:
    anna = await confirmed(house, ANNA)
    await house.do(c.GrantRoles(user_id=anna.id, roles=(Role.ADMIN,)))
    await confirmed(house, BORIS)
    await appoint_first_admin(BORIS, house.deps)
    assert not await is_admin(house, BORIS)
    await house.do(c.EraseMe(await house.holder(await house.sign_in(ANNA))))
    await appoint_first_admin(BORIS, house.deps)
    assert await is_admin(house, BORIS), "there was nobody left"


async def test_nobody_is_the_first_administrator_by_an_address_that_only_looks_the_same(house: House) -> None:
    """Two that are one account's here, and two mailboxes elsewhere."""
    await confirmed(house, "anna@maße.example")
    await appoint_first_admin("anna@masse.example", house.deps)
    assert not await is_admin(house, "anna@maße.example")
