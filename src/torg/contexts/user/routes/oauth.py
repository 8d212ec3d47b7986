"""OAuth 2.1 and OpenID Connect over HTTP: what programs ask. What people see of it are pages of the web context."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import msgspec

from torg.contexts.user import contracts as c
from torg.contexts.user.handlers.oauth.tokens import exchange_token, introspect_token, revoke_token
from torg.contexts.user.model.oauth import OAuthRefused, invalid_client
from torg.contexts.user.ports import UserDeps
from torg.contexts.user.routes.answers import unkept
from torg.kit.access import PUBLIC
from torg.kit.dpop import ALGORITHMS, HEADER, BadProof
from torg.kit.errors import Unavailable
from torg.kit.http import Request, Response, Route, Urgency, delete, get, post
from torg.kit.http.request import JSON
from torg.kit.messages import Message, encode

M = TypeVar("M", bound=Message)
Work = Callable[[Request], Awaitable[bytes]]


class Refusal(msgspec.Struct, frozen=True):
    """What a program is told that is refused (RFC 6749, section 5.2)."""

    error: str
    error_description: str


SECRET = ("client_secret",)
"""What is shown once, and filed nowhere."""
FORM = ("application/x-www-form-urlencoded",)


def oauth(deps: UserDeps) -> Sequence[Route]:
    """No Idempotency-Keys here: a filed answer would keep tokens and secrets in clear."""
    return (*_endpoints(deps), *_described(deps), *_clients(), *_consents())


def _endpoints(deps: UserDeps) -> Sequence[Route]:
    async def token(request: Request) -> bytes:
        command, bound_to = await _read(c.ExchangeToken, request), await _proven_key(request, deps)
        return encode(await deps.store.undisturbed(partial(exchange_token, command, deps, bound_to), command.NAME))

    async def revoke(request: Request) -> bytes:
        command = await _read(c.RevokeToken, request)
        await deps.store.undisturbed(partial(revoke_token, command, deps), command.NAME)
        return b"{}"

    async def introspect(request: Request) -> bytes:
        return encode(await introspect_token(await _read(c.IntrospectToken, request), deps))

    def sent(path: str, work: Work, body: type[Message], summary: str, answer: type | None = None) -> Route:
        return Route(
            method="POST", path=path, endpoint=_told(work), right="registration:write", answer=answer, body=body, body_media=FORM, refusal=Refusal,
            urgency=Urgency.SIGN_IN, refuses=(400, 401), summary=summary, audited=False,
        )  # fmt: skip

    def asked(method: str) -> Route:
        return Route(
            method=method, path="/oauth/userinfo", message=c.GetUserInfo, right="identity:read", reply_headers=unkept, audited=False,
            summary="Who let this client in, as far as its scopes go",
        )  # fmt: skip

    return (
        sent("/oauth/token", token, c.ExchangeToken, "Get tokens for a code, a refresh token, or for the client itself", c.ClientTokens),
        sent("/oauth/revoke", revoke, c.RevokeToken, "End a token and all that it is part of (RFC 7009)"),
        sent("/oauth/introspect", introspect, c.IntrospectToken, "Ask what an own token is good for (RFC 7662)", c.Introspection),
        asked("GET"),
        asked("POST"),
    )


def _described(deps: UserDeps) -> Sequence[Route]:
    described = encode(metadata(deps.issuer, deps.access.policy.programs.scopes))

    async def describe(_: Request) -> Response:
        return Response(200, described, [JSON, (b"cache-control", b"public, max-age=300"), (b"access-control-allow-origin", b"*")])

    paths = ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server")
    return [Route(method="GET", path=path, endpoint=describe, right=PUBLIC, answer=dict[str, Any], summary="What this provider can do") for path in paths]


def _clients() -> Sequence[Route]:
    return (
        get("/admin/clients", c.ListClients, right="clients:read", summary="Registered programs of others"),
        post("/admin/clients", c.AddClient, right="clients:write", status=201, reply_headers=unkept, unfiled=SECRET, summary="Register a program"),
        post(
            "/admin/clients/{client_id}/secret",
            c.RenewClientSecret,
            right="clients:write",
            status=201,
            reply_headers=unkept,
            unfiled=SECRET,
            summary="Renew a secret",
        ),
        post("/admin/clients/{client_id}/disable", c.DisableClient, about=c.GetClient, right="clients:write", summary="End all that a program was granted"),
    )


def _consents() -> Sequence[Route]:
    return (
        get("/users/me/consents", c.ListConsents, right="self:read", summary="The programs that you have let in"),
        delete("/users/me/consents/{client_id}", c.WithdrawConsent, right="self:write", summary="Shut a program out, at once"),
    )


def metadata(issuer: str, scopes: Iterable[str]) -> dict[str, object]:
    """OpenID Connect Discovery 1.0 and RFC 8414."""
    by_secret = ["client_secret_basic", "client_secret_post"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "scopes_supported": list(scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*by_secret, "none"],
        "revocation_endpoint_auth_methods_supported": [*by_secret, "none"],
        "introspection_endpoint_auth_methods_supported": by_secret,
        "subject_types_supported": ["public"],
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "auth_time", "amr", "nonce", "at_hash", "sid", "name", "locale", "email", "email_verified"],
        "prompt_values_supported": ["none", "login", "consent"],
        "authorization_response_iss_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "ui_locales_supported": ["en", "ru"],
        "service_documentation": f"{issuer}/docs",
    }


def _told(work: Work) -> Callable[[Request], Awaitable[Response]]:
    """Answers and errors as RFC 6749 would have them, kept nowhere."""

    async def endpoint(request: Request) -> Response:
        headers = [JSON, (b"cache-control", b"no-store"), (b"pragma", b"no-cache")]
        try:
            return Response(200, await work(request), headers)
        except OAuthRefused as refusal:
            if refusal.status == invalid_client().status and b"authorization" in request.headers:
                headers.append((b"www-authenticate", b'Basic realm="oauth"'))
            return Response(refusal.status, encode(Refusal(refusal.name, refusal.detail)), headers)
        except Unavailable as away:
            headers.append((b"retry-after", str(away.retry_after).encode()))
            return Response(503, encode(Refusal("temporarily_unavailable", away.detail)), headers)

    return endpoint


async def _read(kind: type[M], request: Request) -> M:
    """The form, with the client as it has said who it is: in the header or in the form, and not in both. Raises OAuthRefused."""
    if not request.header("content-type").lower().startswith(FORM[0]):
        raise OAuthRefused("invalid_request", f"send the body as {FORM[0]}")
    form = await request.form()
    named = {field.name for field in msgspec.structs.fields(kind)}
    given: dict[str, str] = {name: value for name, value in form.items() if name in named} | _by_header(request, form)
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise OAuthRefused("invalid_request", str(error)) from error


async def _proven_key(request: Request, deps: UserDeps) -> str:
    """The thumbprint of the key that tokens are to be bound to; empty where no proof came (RFC 9449, section 5). Raises OAuthRefused."""
    if (proof := request.header(HEADER)) == "":
        return ""
    try:
        return await deps.proofs.holder(proof, request.method, request.path)
    except BadProof as bad:
        raise OAuthRefused("invalid_dpop_proof", f"this proof is not believed: {bad}") from bad


def _by_header(request: Request, form: Mapping[str, str]) -> dict[str, str]:
    scheme, _, credentials = request.header("authorization").partition(" ")
    if scheme.lower() != "basic":
        return {}
    if "client_secret" in form:
        raise OAuthRefused("invalid_request", "say who you are once: in the header or in the body")
    try:
        name, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError as error:
        raise invalid_client() from error
    return {"client_id": unquote_plus(name), "client_secret": unquote_plus(secret)}
