"""Who asks: by an access token, an API key or a browser's cookie."""

from __future__ import annotations

from typing import Final

from torg.kit.auth import Authenticate, Identity
from torg.kit.dpop import HEADER, SCHEME, BadProof, Proofs, Unproven
from torg.kit.errors import Forbidden, Unauthenticated
from torg.kit.http.changes import SAFE
from torg.kit.http.request import Request

SESSION_COOKIE = "session"
API_KEY = "torg_"
"""What an API key begins with, and no access token."""
OAUTH = "/oauth/"
"""Where clients may say by HTTP's basic authentication who they are (RFC 6749, section 2.3.1)."""
PROOF: Final = HEADER.encode()
BEARING: Final = frozenset({"bearer", SCHEME})


async def identify(request: Request, authenticate: Authenticate, proofs: Proofs | None = None) -> None:
    """Fills the request's identity in. Raises Unauthenticated for what is no longer, or never was, somebody's; Forbidden for another site's form."""
    authorization, api_key = request.headers.get(b"authorization"), request.headers.get(b"x-api-key")
    if authorization is not None:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        scheme = scheme.lower()
        believed = scheme in BEARING and not token.startswith(API_KEY)
        request.identity = identity = await authenticate(token) if believed else None
        if identity is None:
            if scheme == SCHEME:
                raise Unproven("invalid_token", "this access token is unknown, expired or revoked: get another one")
            if not (scheme == "basic" and request.path.startswith(OAUTH)):
                raise Unauthenticated("session.invalid", "this access token is unknown, expired or revoked: sign in again")
        elif identity.bound_to or scheme == SCHEME:
            await _prove(request, identity, scheme, token, proofs)
    elif api_key is not None:
        key = api_key.decode("latin-1")
        request.identity = await authenticate(key) if key.startswith(API_KEY) else None
        if request.identity is None:
            raise Unauthenticated("api_key.invalid", "this API key is unknown, expired or revoked: make another one")
    elif b"cookie" in request.headers and (token := request.cookie(SESSION_COOKIE)):
        identity = await authenticate(token)
        request.identity = identity if identity and identity.scopes is None else None  # a cookie is a person's: what a program was given opens no page
        if request.identity and request.method not in SAFE:
            refuse_forgery(request)


async def _prove(request: Request, identity: Identity, scheme: str, token: str, proofs: Proofs | None) -> None:
    """That whoever sends the token holds its key. Until then nobody asks. Raises Unproven."""
    request.identity = None
    if not identity.bound_to:
        raise Unproven("invalid_token", "this access token is bound to no key: send 'Authorization: Bearer <access token>'")
    if scheme != SCHEME:
        raise Unproven("invalid_token", "this access token is bound to a key: send 'Authorization: DPoP <access token>', with a proof in the header DPoP")
    if proofs is None:
        raise Unproven("invalid_dpop_proof", "no proofs are believed here")
    try:
        holder = await proofs.holder(request.header(HEADER), request.method, request.path, token)
    except BadProof as bad:
        raise Unproven("invalid_dpop_proof", f"this proof is not believed: {bad}") from bad
    if holder != identity.bound_to:
        raise Unproven("invalid_token", "this access token is bound to another key than the proof's")
    request.identity = identity


def refuse_forgery(request: Request) -> None:
    """A cookie alone proves nothing about who made the page: the browser's own word must say that it was ours (Fetch Metadata; Origin where absent)."""
    site, origin = request.header("sec-fetch-site"), request.header("origin")
    if site in ("same-origin", "none") or (not site and (not origin or origin.partition("://")[2] == request.header("host"))):
        return
    raise Forbidden("request.forged", "this request was sent by another site's page")
