"""API keys: made, rotated, ended; and when they were last used."""

from __future__ import annotations

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.proofs import fresh
from torg.contexts.user.model import api_keys as rules
from torg.contexts.user.model.api_keys import ApiKey
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import FieldError, Invalid
from torg.kit.store import Transaction


async def list_api_keys(query: c.ListApiKeys, deps: UserDeps) -> c.ApiKeys:
    now = deps.clock()
    return c.ApiKeys(tuple(key.view() for key in await deps.api_keys.of(query.holder.user_id) if key.ends_at > now))


async def make_api_key(cmd: c.MakeApiKey, deps: UserDeps) -> c.NewApiKey:
    if unknown := deps.access.unknown_scopes(cmd.scopes, of_keys=True):
        raise Invalid.fields(*(FieldError("scopes", "scope.unknown", f"no key can have the scope {scope}") for scope in unknown))
    await fresh(cmd.holder, deps)
    now, key = deps.clock(), rules.make_key(deps.randomness)
    async with deps.transaction() as tx:
        await _claim(tx, cmd.holder.user_id)
        await deps.users.load(tx, cmd.holder.user_id)
        kept = [one for one in await deps.api_keys.of(cmd.holder.user_id, tx) if one.ends_at > now]
        if len(kept) >= rules.MOST:
            raise rules.too_many()
        made = rules.open_key(deps.new_id(), cmd, key, now)
        await deps.api_keys.add(tx, made)
        await tx.append(made.user_id, [made.made()])
    return made.shown(key)  # no answer is filed: it would keep the key in clear


async def rotate_api_key(cmd: c.RotateApiKey, deps: UserDeps) -> c.NewApiKey:
    await fresh(cmd.holder, deps)
    now, key = deps.clock(), rules.make_key(deps.randomness)
    async with deps.transaction() as tx:
        await _claim(tx, cmd.holder.user_id)
        old = await _own(tx, cmd.holder.user_id, cmd.key_id, deps)
        if len([one for one in await deps.api_keys.of(old.user_id, tx) if one.ends_at > now]) >= 2 * rules.MOST:
            raise rules.too_many()
        new = old.replaced(deps.new_id(), key, now)
        await deps.api_keys.add(tx, new)
        await deps.api_keys.save(tx, old.overlapping(now, cmd.overlap_hours))
        await tx.append(old.user_id, [new.made(replaces=old.id)])
    return new.shown(key)


async def end_api_key(cmd: c.EndApiKey, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await _end(tx, await _own(tx, cmd.holder.user_id, cmd.key_id, deps), deps)


# ---------------------------------------------------------------- staff


async def find_api_keys(query: c.FindApiKeys, deps: UserDeps) -> c.ApiKeys:
    keys, cursor = await deps.api_keys.page(query.prefix, query.user_id, query.cursor, query.limit)
    return c.ApiKeys(tuple(key.view() for key in keys), cursor)


async def get_api_key(query: c.GetApiKey, deps: UserDeps) -> c.ApiKeyView:
    async with deps.transaction() as tx:
        return (await _known(tx, query.key_id, deps)).view()


async def set_api_key_tier(cmd: c.SetApiKeyTier, deps: UserDeps) -> c.ApiKeyView:
    async with deps.transaction() as tx:
        key = await _known(tx, cmd.key_id, deps)
        changed = ApiKey(**{**vars(key), "tier": cmd.tier})
        await deps.api_keys.save(tx, changed)
        return await tx.answer(changed.view())


async def withdraw_api_key(cmd: c.WithdrawApiKey, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await _end(tx, await _known(tx, cmd.key_id, deps), deps)


async def file_last_uses(deps: UserDeps) -> None:
    """What this process has seen used since the last time."""
    if used := deps.api_keys.take_used():
        async with deps.transaction() as tx:
            await deps.api_keys.file_used(tx, used)


async def _end(tx: Transaction, key: ApiKey, deps: UserDeps) -> None:
    await deps.api_keys.end(tx, key)
    await tx.append(key.user_id, [key.ended()])


async def _own(tx: Transaction, user_id: str, key_id: str, deps: UserDeps) -> ApiKey:
    key = await _known(tx, key_id, deps)
    if key.user_id != user_id:
        raise rules.unknown(key_id)
    return key


async def _known(tx: Transaction, key_id: str, deps: UserDeps) -> ApiKey:
    key = await deps.api_keys.load(tx, key_id)
    if key is None or key.ends_at <= deps.clock():
        raise rules.unknown(key_id)
    return key


async def _claim(tx: Transaction, user_id: str) -> None:
    """How many there may be is a rule about all of them."""
    await tx.claim(f"API keys of {user_id}")
