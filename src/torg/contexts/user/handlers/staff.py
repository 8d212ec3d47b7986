"""What the staff do with users."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.sessions import live_sessions
from torg.contexts.user.model.accounts import Account, is_another
from torg.contexts.user.ports import UserDeps
from torg.kit import telemetry
from torg.kit.auth import Duties, Role
from torg.kit.errors import DomainError, NotFound
from torg.kit.rebuilding import TOLD, Findings, Rebuilt
from torg.kit.store import Transaction


async def list_users(query: c.ListUsers, deps: UserDeps) -> c.UserPage:
    accounts, cursor = await deps.users.page(query.query, query.cursor, query.limit)
    found = (account.view() for account in accounts)
    return c.UserPage(tuple(deps.access.seen(query.viewer, "user", user) if query.viewer else user for user in found), cursor)


async def get_user(query: c.GetUser, deps: UserDeps) -> c.User:
    account = await deps.users.find(query.user_id)
    if account is None:
        raise NotFound("user.not_found", f"there is no user {query.user_id}")
    return account.view()


async def grant_roles(cmd: c.GrantRoles, deps: UserDeps) -> c.User:
    async with deps.transaction() as tx:
        await tx.claim("roles")
        account = await deps.users.load(tx, cmd.user_id)
        changed = replace(account, roles=frozenset(cmd.roles), duties=Duties(cmd.warehouses, cmd.cities))
        if Role.ADMIN in account.roles - changed.roles and not await deps.users.has_admin_besides(tx, account.id):
            raise DomainError("user.last_admin", "somebody has to be an administrator: make another one first")
        if changed != account:
            await _employ(tx, account, changed, deps)
        return await tx.answer(changed.view())


async def appoint_first_admin(email: str, deps: UserDeps) -> None:
    """Where a shop has no administrator, whoever has registered with this address, and has confirmed it, becomes one."""
    found = await deps.users.find_by_email(email)
    if found is None or not found.confirmed or is_another(found.email, email) or Role.ADMIN in found.roles:
        return
    async with deps.transaction() as tx:
        await tx.claim("roles")
        account = await deps.users.load(tx, found.id)
        if not account.confirmed or Role.ADMIN in account.roles or await deps.users.has_admin_besides(tx, account.id):
            return
        changed = replace(account, roles=account.roles | {Role.ADMIN})
        await _employ(tx, account, changed, deps)
    telemetry.log.warning("this shop has its first administrator", user_id=account.id)


async def list_sessions_of(query: c.ListSessionsOf, deps: UserDeps) -> c.Sessions:
    await get_user(c.GetUser(query.user_id), deps)
    return c.Sessions(tuple(session.view() for session in await live_sessions(query.user_id, deps)))


async def end_session_of(cmd: c.EndSessionOf, deps: UserDeps) -> None:
    if cmd.session_id not in {session.id for session in await deps.sessions.of(cmd.user_id)}:
        raise NotFound("session.not_found", f"user {cmd.user_id} has no session {cmd.session_id}")
    async with deps.transaction() as tx:
        await deps.sessions.end(tx, cmd.session_id)
        await tx.append(cmd.user_id, [c.SessionsEnded(cmd.user_id, (cmd.session_id,))])


async def end_sessions_of(cmd: c.EndSessionsOf, deps: UserDeps) -> None:
    ended = tuple(session.id for session in await deps.sessions.of(cmd.user_id))
    async with deps.transaction() as tx:
        await deps.users.load(tx, cmd.user_id)
        await deps.sessions.end_all(tx, cmd.user_id)
        if ended:
            await tx.append(cmd.user_id, [c.SessionsEnded(cmd.user_id, ended)])


async def rebuild_sessions(cmd: c.RebuildSessions, deps: UserDeps) -> Rebuilt:
    began, found = time.perf_counter(), Findings()
    for user_id, sessions in (await deps.sessions.outlived(TOLD)).items():
        found.add(Findings(1, [f"user {user_id} was erased and has {sessions} sessions, which end"]))
        if not cmd.dry_run:
            await deps.store.undisturbed(partial(_end_outlived, user_id, sessions, cmd, deps), cmd.NAME)
    return found.rebuilt(time.perf_counter() - began)


async def _employ(tx: Transaction, before: Account, changed: Account, deps: UserDeps) -> None:
    await deps.users.save(tx, changed)
    await deps.sessions.forget_held(tx, changed.id)
    if deps.strict_with_staff and changed.works_here and not before.works_here:
        await deps.sessions.end_all(tx, changed.id)  # they sign in anew, and their password is looked at as one of the staff's
    await tx.append(changed.id, [changed.roles_changed()])


async def _end_outlived(user_id: str, sessions: int, cmd: c.RebuildSessions, deps: UserDeps) -> None:
    async with deps.transaction() as tx:
        await deps.sessions.end_all(tx, user_id)
        reason = cmd.reason or "an erased user has no session"
        told = c.SessionsMended(about="user", id=user_id, was=f"{sessions} sessions", now="none", reason=reason, by=cmd.operator.user_id)
        await tx.append(user_id, [told])
