"""Clients as the staff keep them, and how a client proves who it is."""

from __future__ import annotations

from dataclasses import replace

from torg.contexts.user import contracts as c
from torg.contexts.user.model import oauth as rules
from torg.contexts.user.model.oauth import Client
from torg.contexts.user.ports import UserDeps
from torg.kit.errors import DomainError


async def list_clients(_: c.ListClients, deps: UserDeps) -> c.Clients:
    return c.Clients(tuple(client.view() for client in await deps.clients.all()))


async def get_client(query: c.GetClient, deps: UserDeps) -> c.ClientView:
    return (await _known(query.client_id, deps)).view()


async def add_client(cmd: c.AddClient, deps: UserDeps) -> c.NewClient:
    secret = rules.new_secret(deps.randomness) if cmd.confidential else ""
    client = rules.open_client(deps.new_id(), cmd, secret, deps.clock(), deps.access.unknown_scopes(cmd.scopes))
    async with deps.transaction() as tx:
        if client.acts_for:
            await deps.users.load(tx, client.acts_for)
        await deps.clients.add(tx, client)
        await tx.append(client.id, [c.ClientAdded(client_id=client.id, name=client.name, scopes=client.scopes)])
    return client.shown(secret)  # no answer is filed: it would keep the secret in clear


async def renew_client_secret(cmd: c.RenewClientSecret, deps: UserDeps) -> c.NewClient:
    client, secret = await _known(cmd.client_id, deps), rules.new_secret(deps.randomness)
    if not client.secret_hash:
        raise DomainError("client.public", "this client runs on people's own machines and has no secret")
    async with deps.transaction() as tx:
        await deps.clients.save(tx, client.with_secret(secret))
    return client.shown(secret)


async def disable_client(cmd: c.DisableClient, deps: UserDeps) -> c.ClientView:
    client = await _known(cmd.client_id, deps)
    disabled = replace(client, disabled_at=client.disabled_at or deps.clock())
    async with deps.transaction() as tx:
        await deps.clients.save(tx, disabled)
        for session_id in await deps.clients.sessions_of(tx, client.id):
            await deps.sessions.end(tx, session_id)
        if client.disabled_at is None:
            await tx.append(client.id, [c.ClientDisabled(client.id)])
    return disabled.view()


async def proven(client_id: str, secret: str, deps: UserDeps) -> Client:
    """The client whose secret this is. Raises OAuthRefused `invalid_client`."""
    client = await deps.clients.find(client_id)
    if client is None or client.disabled_at is not None or not client.proves(secret):
        raise rules.invalid_client()
    return client


async def _known(client_id: str, deps: UserDeps) -> Client:
    client = await deps.clients.find(client_id)
    if client is None:
        raise rules.not_found(client_id)
    return client
