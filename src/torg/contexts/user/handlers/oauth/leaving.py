"""Signing out that begins at a program, and telling programs that somebody has signed out."""

from __future__ import annotations

from torg.contexts.user import contracts as c
from torg.contexts.user.model import oauth as rules
from torg.contexts.user.model.oauth import LogoutNotice
from torg.contexts.user.ports import UserDeps
from torg.kit import telemetry
from torg.kit.outbound import Refused
from torg.kit.tokens import ID, LOGOUT, BadToken, Claims
from torg.kit.urls import with_query

AT_ONCE = 20
EVENT = "http://schemas.openid.net/event/backchannel-logout"


async def check_leaving(query: c.CheckLeaving, deps: UserDeps) -> c.Leaving:
    asked, hint = query.asked, await _hint(query.asked.id_token_hint, deps)
    client_id = asked.client_id or (hint.aud if hint else "")
    client = await deps.clients.find(client_id) if client_id else None
    uri = asked.post_logout_redirect_uri
    if uri and (client is None or client.disabled_at is not None or uri not in client.logout_uris or (hint and hint.aud != client.id)):
        raise rules.redirect_unknown()
    certain = hint is not None and query.visitor is not None and hint.sub == query.visitor.user_id and client is not None and hint.aud == client.id
    where = with_query(uri, {"state": asked.state} if asked.state else {}) if uri else ""
    return c.Leaving(where=where, client_name=client.name if client else "", certain=certain)


async def tell_of_logouts(deps: UserDeps) -> None:
    """Sends what is due; a client that doesn't take it is told again later, and given up in the end."""
    now = deps.clock()
    for notice in await deps.clients.due(now, AT_ONCE):
        try:
            await deps.outbound.post_form(notice.uri, {"logout_token": await _logout_token(notice, deps)})
            error = ""
        except Refused as refused:
            error = str(refused)
        async with deps.transaction() as tx:
            if error and notice.attempts + 1 < rules.TRIES:
                await deps.clients.tell_again(tx, notice, deps.clock() + rules.pause(notice.attempts))
            else:
                await deps.clients.told(tx, notice)
        if error:
            telemetry.log.warning("a client was not told of a logout", client_id=notice.client_id, attempts=notice.attempts + 1, error=error)


async def _logout_token(notice: LogoutNotice, deps: UserDeps) -> str:
    """OpenID Connect Back-Channel Logout 1.0, section 2.4."""
    now = deps.clock()
    at = int(now.timestamp())
    claims = Claims(
        iss=deps.issuer, aud=notice.client_id, sub=notice.user_id, sid=notice.sid, iat=at, exp=at + int(rules.LOGOUT_FOR.total_seconds()), jti=notice.id,
        events={EVENT: {}},
    )  # fmt: skip
    return (await deps.keys.signer(now)).sign(claims, LOGOUT)


async def _hint(token: str, deps: UserDeps) -> Claims | None:
    """What an ID token says, though its time is over: it only tells who sends them."""
    if not token:
        return None
    try:
        claims = (await deps.keys.checker(deps.clock())).read(token, ID)
    except BadToken:
        return None
    return claims if claims.iss == deps.issuer else None
