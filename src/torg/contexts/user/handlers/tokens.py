"""Access tokens: who holds one, and the keys that they are signed with."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user import contracts as c
from torg.contexts.user.model import keys as rules
from torg.contexts.user.model.api_keys import BEGINS
from torg.contexts.user.model.keys import Key
from torg.contexts.user.model.sessions import Mint
from torg.contexts.user.ports import UserDeps
from torg.kit.auth import Identity
from torg.kit.store import Transaction
from torg.kit.tokens import ACCESS, BadToken


async def authenticate(query: c.Authenticate, deps: UserDeps) -> Identity | None:
    now = deps.clock()
    live = deps.sessions.at_hand(query.token, now)
    if live is None and (query.token.startswith(BEGINS) or await _is_ours(query.token, deps)):  # no token that was not made here gets to the store
        live = await deps.sessions.holder(query.token, now)
    if live is None:
        return None
    if query.token.startswith(BEGINS):
        deps.api_keys.used(live.identity.session_id, now)
    return live.identity


async def get_public_keys(_: c.GetPublicKeys, deps: UserDeps) -> c.PublicKeys:
    now = deps.clock()
    await deps.keys.signer(now)  # there is one from the first question on
    return c.PublicKeys(deps.issuer, tuple(key.jwk for key in rules.believed(await deps.keys.all(), now)))


async def get_jwks(_: c.GetJwks, deps: UserDeps) -> c.Jwks:
    return c.Jwks((await get_public_keys(c.GetPublicKeys(), deps)).keys)


async def rotate_keys(cmd: c.RotateKeys, deps: UserDeps) -> c.KeyRing:
    async with deps.transaction() as tx:
        ring = await _rotate(tx, cmd.compromised, deps)
        return await tx.answer(c.KeyRing(tuple(key.view() for key in ring)))


async def rotate_old_keys(deps: UserDeps) -> None:
    """Makes a new key where the newest is old, and drops those that nobody asks for any more."""
    now, keys = deps.clock(), await deps.keys.all()
    async with deps.transaction() as tx:
        if rules.is_due(keys, now):
            await _rotate(tx, False, deps)
        await deps.keys.drop_old(tx, now)


async def _rotate(tx: Transaction, compromised: bool, deps: UserDeps) -> Sequence[Key]:
    kid = deps.randomness(8).hex()
    ring = await deps.keys.rotate(tx, kid, deps.clock(), compromised)
    await tx.append("keys", [c.KeysRotated(kid, compromised)])
    return ring


async def minting(deps: UserDeps) -> Mint:
    """What makes tokens now. Ask for it before a transaction."""
    now = deps.clock()
    return Mint(await deps.keys.signer(now), deps.issuer, deps.randomness, now)


async def _is_ours(token: str, deps: UserDeps) -> bool:
    now = deps.clock()
    try:
        (await deps.keys.checker(now)).check(token, ACCESS, deps.issuer, now)
    except BadToken:
        return False
    return True
