"""The rules of OAuth 2.1 and OpenID Connect: what a client may ask for, where its answers go, and what codes and consents are."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final

from torg.contexts.user.contracts import AddClient, Authorization, ClientView, NewClient, Tier
from torg.contexts.user.model.sessions import token_hash
from torg.kit.errors import DomainError, FieldError, Invalid, NotFound
from torg.kit.urls import is_loopback, is_web, with_query, without_port
from torg.kit.values import Randomness

CODE_FOR: Final = timedelta(seconds=60)
ID_FOR: Final = timedelta(minutes=15)
LOGOUT_FOR: Final = timedelta(minutes=2)
FRESH: Final = timedelta(seconds=60)  # so long ago somebody who is to sign in anew may have done it
OFFLINE: Final = "offline_access"
CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
OWN_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:/{1,2}[^\s#*]+")

TRIES: Final = 12
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(hours=1)


class OAuthRefused(DomainError):
    """One of OAuth's own errors; `code` is `oauth.` and its name in the RFCs."""

    status, title = 400, "Refused"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"oauth.{name}", detail)
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Client:
    """A program as it is kept: its secret by its hash, empty where it has none."""

    id: str
    name: str
    secret_hash: str
    redirect_uris: tuple[str, ...]
    logout_uris: tuple[str, ...]
    backchannel_uri: str
    scopes: tuple[str, ...]
    grants: tuple[str, ...]
    tier: Tier
    acts_for: str | None
    made_at: datetime
    disabled_at: datetime | None = None

    def view(self) -> ClientView:
        return ClientView(
            id=self.id, name=self.name, confidential=bool(self.secret_hash), redirect_uris=self.redirect_uris, logout_uris=self.logout_uris,
            backchannel_uri=self.backchannel_uri, scopes=self.scopes, grants=self.grants, tier=self.tier, acts_for=self.acts_for, made_at=self.made_at,
            disabled_at=self.disabled_at,
        )  # fmt: skip

    def shown(self, secret: str) -> NewClient:
        view = self.view()
        return NewClient(**{name: getattr(view, name) for name in view.__struct_fields__}, client_secret=secret)

    def with_secret(self, secret: str) -> Client:
        return replace(self, secret_hash=token_hash(secret))

    def proves(self, secret: str) -> bool:
        """Whether this is its secret; one that has none proves itself by PKCE alone."""
        return compare_digest(token_hash(secret), self.secret_hash) if self.secret_hash else not secret

    def answers_at(self, uri: str) -> bool:
        """An exact match; of an address of the person's own machine the port may be any (RFC 8252, section 7.3)."""
        return uri in self.redirect_uris or without_port(uri) in {without_port(one) for one in self.redirect_uris if is_loopback(one)}

    def is_itself_at(self, uri: str) -> bool:
        """Whether nobody else gets what is sent there: any program on somebody's machine may take a client's name that has no secret, and listen where it does
        (RFC 8252, section 8.6). Such a one is let in by its person each time."""
        return bool(self.secret_hash) or is_web(uri)

    def allowed(self, asked: str, otherwise: Iterable[str] = ()) -> str:
        """The scopes asked for, in their order. Raises OAuthRefused `invalid_scope`."""
        wanted = asked.split() or list(otherwise)
        if not wanted:
            raise OAuthRefused("invalid_scope", f"say which scopes: {' '.join(self.scopes)}")
        if missing := [scope for scope in wanted if scope not in self.scopes]:
            raise OAuthRefused("invalid_scope", f"this client may not have {' '.join(missing)}; it may have {' '.join(self.scopes)}")
        return ordered(wanted)


@dataclass(frozen=True, kw_only=True)
class Code:
    """What an authorization code stands for."""

    hash: str
    client_id: str
    user_id: str
    redirect_uri: str
    scope: str
    challenge: str
    nonce: str
    authenticated_at: datetime
    parent_id: str
    ends_at: datetime
    amr: str = ""
    spent_by: str = ""

    def fault(self, client: Client, redirect_uri: str, verifier: str, now: datetime) -> str:
        """Empty where it may be exchanged."""
        if self.client_id != client.id:
            return "this code is another client's"
        if self.ends_at <= now:
            return "this code has expired"
        if self.redirect_uri != redirect_uri:
            return "redirect_uri is not the one that the code went to"
        return "" if fits(verifier, self.challenge) else "code_verifier does not fit the challenge"


@dataclass(frozen=True, kw_only=True)
class ClientGrant:
    """That a session is a client's, and what it may do there; `bound_to`: the key that its tokens are bound to, if any."""

    session_id: str
    client_id: str
    scope: str
    nonce: str
    authenticated_at: datetime
    parent_id: str
    offline: bool
    amr: str = ""
    bound_to: str = ""


@dataclass(frozen=True, kw_only=True)
class LogoutNotice:
    """A client that has yet to be told that somebody has signed out."""

    id: str
    client_id: str
    user_id: str
    sid: str
    attempts: int
    uri: str


def new_secret(randomness: Randomness) -> str:
    """256 random bits."""
    return base64.urlsafe_b64encode(randomness(32)).rstrip(b"=").decode()


def open_client(id: str, cmd: AddClient, secret: str, now: datetime, unknown: Sequence[str] = ()) -> Client:
    """`unknown`: scopes that there are not. Raises Invalid that names every bad field."""
    faults = [*_faults(cmd), *(FieldError("scopes", "scope.unknown", f"there is no scope {scope}") for scope in unknown)]
    if faults:
        raise Invalid.fields(*faults)
    return Client(
        id=id, name=cmd.name, secret_hash=token_hash(secret) if cmd.confidential else "", redirect_uris=cmd.redirect_uris, logout_uris=cmd.logout_uris,
        backchannel_uri=cmd.backchannel_uri, scopes=tuple(ordered(cmd.scopes).split()), grants=tuple(dict.fromkeys(cmd.grants)), tier=cmd.tier,
        acts_for=cmd.acts_for, made_at=now,
    )  # fmt: skip


def _faults(cmd: AddClient) -> Iterable[FieldError]:
    comes_by_itself = "client_credentials" in cmd.grants
    if "authorization_code" in cmd.grants and not cmd.redirect_uris:
        yield FieldError("redirect_uris", "missing", "say where people come back to")
    for field, uris in (("redirect_uris", cmd.redirect_uris), ("logout_uris", cmd.logout_uris)):
        for uri in uris:
            if not (is_web(uri) or is_loopback(uri) or (not cmd.confidential and OWN_SCHEME.fullmatch(uri))):
                yield FieldError(field, "invalid", f"{uri!r} must be https://… without a fragment, or http://127.0.0.1/… on people's own machines")
    if cmd.backchannel_uri and not (is_web(cmd.backchannel_uri) or is_loopback(cmd.backchannel_uri)):
        yield FieldError("backchannel_uri", "invalid", "this must be https://… without a fragment")
    if comes_by_itself and not (cmd.confidential and cmd.acts_for):
        yield FieldError("acts_for", "missing", "a client that comes by itself has a secret, and an account that it acts for")
    if "refresh_token" in cmd.grants and "authorization_code" not in cmd.grants:
        yield FieldError("grants", "invalid", "refresh_token goes with authorization_code")


def ordered(scopes: Iterable[str]) -> str:
    """Each once, in the order in which they came."""
    return " ".join(dict.fromkeys(scopes))


def fits(verifier: str, challenge: str) -> bool:
    """PKCE (RFC 7636), S256."""
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return VERIFIER.fullmatch(verifier) is not None and compare_digest(made, challenge)


def at_hash(access_token: str) -> str:
    """The left half of the token's SHA-512, the hash that Ed25519 uses (OpenID Connect Core, section 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha512(access_token.encode()).digest()[:32]).rstrip(b"=").decode()


def check(asked: Authorization, client: Client) -> str:
    """The scopes that are asked for. Raises OAuthRefused, which is told to the client."""
    if unsupported := next((name for name in ("request", "request_uri") if getattr(asked, name)), ""):
        raise OAuthRefused(f"{unsupported}_not_supported", "say what is asked for in the query")
    if asked.response_mode not in ("", "query"):
        raise OAuthRefused("invalid_request", "response_mode must be query")
    if asked.response_type != "code":
        raise OAuthRefused("unsupported_response_type", "response_type must be code")
    if "authorization_code" not in client.grants:
        raise OAuthRefused("unauthorized_client", "this client is not registered for the authorization code")
    if asked.code_challenge_method != "S256" or not CHALLENGE.fullmatch(asked.code_challenge):
        raise OAuthRefused("invalid_request", "PKCE is needed: code_challenge_method=S256 and a code_challenge of 43 characters (RFC 7636)")
    if asked.max_age and not asked.max_age.isdecimal():
        raise OAuthRefused("invalid_request", "max_age must be a number of seconds")
    if not set(asked.prompt.split()) <= {"none", "login", "consent"} or ("none" in asked.prompt and asked.prompt != "none"):
        raise OAuthRefused("invalid_request", "prompt may be none, login or consent, and none stands alone")
    return client.allowed(asked.scope)


def has_to_sign_in(asked: Authorization, authenticated_at: datetime | None, now: datetime) -> bool:
    if authenticated_at is None:
        return True
    longest = timedelta(seconds=min(int(asked.max_age), 10**9)) if asked.max_age else None
    if "login" in asked.prompt.split():
        longest = FRESH if longest is None else min(longest, FRESH)
    return longest is not None and now - authenticated_at > longest


def back(asked: Authorization, issuer: str, **values: str) -> str:
    """The client's address with the answer, the state that it gave, and who answers (RFC 9207)."""
    answer = {**values, **({"state": asked.state} if asked.state else {}), "iss": issuer}
    return with_query(asked.redirect_uri, answer)


def refused_to(asked: Authorization, issuer: str, refusal: OAuthRefused) -> str:
    return back(asked, issuer, error=refusal.name, error_description=refusal.detail)


def invalid_client() -> OAuthRefused:
    refusal = OAuthRefused("invalid_client", "there is no such client, or this is not its secret")
    refusal.status = 401
    return refusal


def client_unknown() -> DomainError:
    return DomainError("oauth.client_unknown", "the program that sent you here is not registered")


def redirect_unknown() -> DomainError:
    return DomainError("oauth.redirect_unknown", "the program that sent you here wants you back at an address that is not registered for it")


def not_found(client_id: str) -> NotFound:
    return NotFound("client.not_found", f"there is no client {client_id}")


def pause(attempts: int) -> timedelta:
    """How long to wait before a client is told again."""
    return min(FIRST_PAUSE * 2.0 ** min(attempts, 20), LONGEST_PAUSE)


def covers(consented: str, scope: str) -> bool:
    return set(scope.split()) <= set(consented.split())


def joined(scopes: Sequence[str]) -> str:
    return ordered(" ".join(scopes).split())
