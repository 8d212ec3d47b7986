"""What composition adds when contexts run in several processes: who answers tokens, audits, descriptions and purges, and what others may ask here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from torg import __version__, topology
from torg.contexts.admin.contracts import RecordAudit
from torg.contexts.user.contracts import Authenticate, GetPublicKeys
from torg.fleet.purging import CAUSES
from torg.kit.auth import Authenticate as Authenticating
from torg.kit.auth import Identity
from torg.kit.calls import Call, Handle, LocalCalls
from torg.kit.chain import Chained, within
from torg.kit.http import App, Request, Response, Route
from torg.kit.http.app import Audit
from torg.kit.http.cache import ResponseCache
from torg.kit.http.changes import Change
from torg.kit.http.openapi import asyncapi, merged, openapi
from torg.kit.http.operations import Describe
from torg.kit.messages import Message, Registry, encode
from torg.kit.module import Check
from torg.kit.operations import Desk
from torg.kit.rpc.changes import Changes
from torg.kit.rpc.fleet import Faces, Fleet, join
from torg.kit.rpc.identity import Keys
from torg.kit.rpc.key_files import BadKeys, KeyFolder, make_missing
from torg.kit.rpc.messages import DescribeApi, FollowChanges, PurgeAnswers
from torg.kit.rpc.peers import Peers
from torg.kit.rpc.server import RpcServer
from torg.kit.rpc.tls import Tls
from torg.kit.settings import BadSettings, Settings
from torg.kit.sql.opening import shards_of
from torg.kit.tokens import Checker
from torg.kit.values import Clock, Randomness, utc_now

OPERATOR: Final = topology.OPERATOR
"""As who the command line asks."""
AUDITED: Final = 2.0  # seconds that an answer waits for its line in the audit trail


def keys_folder(settings: Settings) -> Path:
    """Where the keys of a fleet's services are."""
    return Path(settings.identities) if settings.identities else Path(settings.data) / "identities"


def own_keys(settings: Settings, services: Collection[str], randomness: Randomness) -> KeyFolder:
    """The keys of services that run here: made at the first start, unless the settings say where they are. Raises BadSettings."""
    try:
        if not settings.identities:
            make_missing(keys_folder(settings), services, randomness)
        return KeyFolder(keys_folder(settings), services)
    except BadKeys as error:
        raise BadSettings(f"TORG_IDENTITIES: {error}") from error


def own_tls(settings: Settings, services: Sequence[str], keys: Keys) -> Tls | None:
    """How processes speak to each other, where that is not in the clear. Certificates are dated by the real clock, whatever a rehearsal's says."""
    return Tls(keys, services, utc_now) if settings.tls else None


def join_fleet(
    name: str, contexts: Collection[str], peers: Peers, settings: Settings, keys: Keys, registry: Registry, clock: Clock, randomness: Randomness
) -> Fleet:  # fmt: skip
    """What a process of these contexts needs to ask those of all the others. `clock` dates signatures: the real one, whatever a rehearsal's says."""
    elsewhere = [context for context in topology.CONTEXTS if context not in contexts]
    parts = {context: shards_of(settings, context) for context in elsewhere}
    return join(name, elsewhere, peers, keys, registry, clock, randomness, parts, own_tls(settings, (name, *contexts), keys))


def authenticating(call: Call, fleet: Fleet | None) -> Faces | Authenticating:
    """Turns tokens into identities; where the user context runs elsewhere, a moment's memory spares asking it for each request."""
    asked: Call = Chained(call, fleet.name) if fleet else call

    async def authenticate(token: str) -> Identity | None:
        return await asked(Authenticate(token))

    async def learn() -> Checker:
        known = await asked(GetPublicKeys())
        return Checker.of(known.issuer, known.keys)

    return Faces(authenticate, learn) if fleet and "user" in fleet.contexts else authenticate


def auditing(call: Call, contexts: Collection[str], fleet: Fleet | None) -> Audit | None:
    """Files what the staff do, wherever the admin context runs."""
    asked: Call = Chained(call, fleet.name) if fleet else call

    async def audit(request: Request, route: Route, response: Response, change: Change) -> None:
        with within(AUDITED):
            await asked(audit_record(request, route, response, change))

    return audit if "admin" in contexts or fleet else None


def audit_record(request: Request, route: Route, response: Response, change: Change) -> RecordAudit:
    """`object` is the last identifier in the path, else what the answer's Location names."""
    assert request.identity is not None, "only who has signed in is audited"
    location = next((value.decode("latin-1") for name, value in response.headers if name == b"location"), "")
    made = location.rpartition("/")[2] if response.status in (201, 202) else ""
    identity = request.identity
    program = identity.client_id or (identity.session_id if identity.scopes is not None else "")  # a key has no session: its id is there
    named = next(reversed(request.path_values.values()), "")
    return RecordAudit(
        actor=request.identity.user_id, roles=tuple(sorted(request.identity.roles)), method=request.method, route=route.path, path=request.path,
        object=named or made, status=response.status, request_id=request.id,
        client=program, by_right=route.right, before=bytes(change.before).decode(), after=bytes(change.after).decode(),
    )  # fmt: skip


def describing(http: App, registry: Registry, public_url: str, fleet: Fleet | None) -> Describe:
    """The API's description is put together from those of all processes."""

    async def api() -> Mapping[str, Any]:
        own = openapi(http.routes, __version__, public_url, http.access)
        if fleet is None:
            return own
        return merged([own, *[msgspec.json.decode(await fleet.ask(context, DescribeApi())) for context in fleet.contexts]])

    async def events() -> Mapping[str, Any]:
        return asyncapi(registry.types(), __version__)

    return {"openapi": api, "asyncapi": events}


def purging(cache: ResponseCache | None, fleet: Fleet | None) -> Callable[..., None]:
    """Forgets kept answers here, and in a fleet wherever they may be kept."""

    def purge(*tags: str) -> None:
        if cache:
            cache.purge(*tags)
        if fleet:
            fleet.purges(*tags)

    return purge


def needs(contexts: Collection[str], fleet: Fleet | None) -> dict[str, Check]:
    """What /ready asks besides the own engines: whether those answer without whom these contexts are of no use."""
    if fleet is None:
        return {}
    needed = {need for context in contexts for need in topology.NEEDS.get(context, ()) if need not in contexts}
    return {f"{need} answers": partial(fleet.fault, need) for need in sorted(needed)}


def serving(
    here: LocalCalls, http: App, faces: Faces | Authenticating, desks: Mapping[str, Desk], registry: Registry, public_url: str, fleet: Fleet,
    keepers: Sequence[Callable[..., None]],
) -> RpcServer:  # fmt: skip
    """What other processes may ask in this one. `keepers` forget answers by tag."""

    async def describe(_: DescribeApi) -> msgspec.Raw:
        return msgspec.Raw(encode(openapi(http.routes, __version__, public_url, http.access)))

    async def purge(command: PurgeAnswers) -> None:
        for forget in keepers:
            forget(*command.tags)
        if isinstance(faces, Faces):
            faces.forget(command.tags)

    own: Mapping[type[Message], Handle] = {
        DescribeApi: describe, PurgeAnswers: purge, FollowChanges: Changes(desks, registry, fleet.waiting, CAUSES),
    }  # fmt: skip
    return fleet.server(here, registry, desks, own, topology.may_ask)
