"""Asked anew before what matters."""

from __future__ import annotations

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.passwords import with_password
from torg.contexts.user.handlers.steps import answered, ask_for_one_of, is_code_of, steps_of, ways_of
from torg.contexts.user.model import proofs
from torg.contexts.user.model.accounts import UNUSABLE
from torg.contexts.user.ports import UserDeps
from torg.kit import security
from torg.kit.auth import Identity
from torg.kit.errors import FieldError, Forbidden, Invalid, NotFound


async def begin_proof(cmd: c.BeginProof, deps: UserDeps) -> c.Challenge:
    return await ask_for_one_of(cmd.holder.user_id, deps)


async def prove_again(cmd: c.ProveAgain, deps: UserDeps) -> c.Proof:
    session = await deps.sessions.find(cmd.holder.session_id)
    if session is None or cmd.holder.scopes is not None:
        raise Forbidden("scope.never", "no program may do this for you: sign in yourself")
    shown, now = await _shown(cmd, deps), deps.clock()
    async with deps.transaction() as tx:
        await deps.sessions.prove(tx, session.id, proofs.joined(session.amr, shown), now)
    return c.Proof(now + proofs.PROOF_FOR)


async def is_fresh(holder: Identity, deps: UserDeps) -> bool:
    session = await deps.sessions.find(holder.session_id) if holder.scopes is None else None
    return session is not None and deps.clock() - session.proven_at <= proofs.PROOF_FOR


async def fresh(holder: Identity, deps: UserDeps) -> None:
    """Before what matters. Raises Forbidden for who has shown long ago who they are, or is a program."""
    if not await is_fresh(holder, deps):
        account = await deps.users.find(holder.user_id)
        has_password = account is not None and account.password_hash != UNUSABLE
        raise proofs.reauthenticate(await ways_of(holder.user_id, deps, password=has_password))


async def confirmed(holder: Identity, password: str, deps: UserDeps) -> None:
    """The same, where a password that comes along is enough for who has nothing besides. Raises Invalid for a wrong one."""
    if password:
        await with_password(holder.user_id, password, deps)
    if not password or await steps_of(holder.user_id, deps):
        await fresh(holder, deps)


async def _shown(cmd: c.ProveAgain, deps: UserDeps) -> str:
    """By what, in the words of RFC 8176."""
    user_id = cmd.holder.user_id
    if cmd.credential:
        await answered(cmd.ticket, cmd.credential, user_id, deps)
        return proofs.joined(proofs.KEY, proofs.SEVERAL)
    account, steps = await deps.users.find(user_id), await steps_of(user_id, deps)
    if account is None:
        raise NotFound("user.not_found", f"there is no user {user_id}")
    has_password = account.password_hash != UNUSABLE
    if not has_password and not steps:
        raise proofs.only_anew()
    given = (("password", cmd.password, has_password), ("code", cmd.code, bool(steps)))
    if missing := [FieldError(name, "missing", "this is needed, too") for name, value, needed in given if needed and not value]:
        raise Invalid.fields(*missing)
    if has_password:
        await with_password(user_id, cmd.password, deps)
    if steps and not await is_code_of(user_id, cmd.code, cmd.address, deps):
        security.tell("unauthenticated", user_id=user_id, address=cmd.address, code="session.bad_code")
        raise Invalid.fields(FieldError("code", "wrong", "this code is wrong, too old, or was used before"))
    return proofs.joined(proofs.PASSWORD if has_password else "", f"{proofs.CODE} {proofs.SEVERAL}" if steps else "")
