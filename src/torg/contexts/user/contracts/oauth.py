"""Programs of others: how they are registered, how people let them in, and the tokens that come of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from torg.contexts.user.contracts.api_keys import Tier
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message
from torg.kit.values import Text

Grant = Literal["authorization_code", "refresh_token", "client_credentials"]
Uri = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Uris = Annotated[tuple[Uri, ...], msgspec.Meta(max_length=20)]
AnyScope = Annotated[str, msgspec.Meta(pattern="^[a-z_-]+(:(read|write))?$")]
Parameter = Annotated[str, msgspec.Meta(max_length=2000)]

# ---------------------------------------------------------------- clients


class ClientView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered program. One without a secret (`confidential` false) runs on people's own machines. `acts_for`: the account whose things it sees
    when it comes by itself (client credentials)."""

    id: str
    name: str
    confidential: bool
    redirect_uris: tuple[str, ...]
    logout_uris: tuple[str, ...]
    backchannel_uri: str
    scopes: tuple[str, ...]
    grants: tuple[str, ...]
    tier: Tier
    acts_for: str | None
    made_at: datetime
    disabled_at: datetime | None


class NewClient(ClientView, frozen=True, kw_only=True):
    """With its secret, for the only time; empty where it has none."""

    client_secret: str


class Clients(msgspec.Struct, frozen=True):
    items: tuple[ClientView, ...]
    next_cursor: str | None = None


@message("user.list_clients")
class ListClients(Query[Clients], frozen=True):
    """All of them, newest first."""


@message("user.get_client")
class GetClient(Query[ClientView], frozen=True):
    """Raises NotFound `client.not_found`."""

    client_id: str


@message("user.add_client")
class AddClient(Command[NewClient], frozen=True, kw_only=True):
    """Registers a program. Addresses must be https, or http on 127.0.0.1 or [::1] (RFC 8252: any port of these will do); a program on people's own machines
    may have a scheme of its own. Raises Invalid; NotFound `user.not_found` for an unknown `acts_for`."""

    name: Text
    confidential: bool = True
    redirect_uris: Uris = ()
    logout_uris: Uris = ()
    backchannel_uri: Parameter = ""
    scopes: Annotated[tuple[AnyScope, ...], msgspec.Meta(min_length=1)]
    grants: Annotated[tuple[Grant, ...], msgspec.Meta(min_length=1)] = ("authorization_code", "refresh_token")
    tier: Tier = "free"
    acts_for: str | None = None


@message("user.renew_client_secret")
class RenewClientSecret(Command[NewClient], frozen=True):
    """The old one opens nothing any more. Raises NotFound `client.not_found`, DomainError `client.public`."""

    client_id: str


@message("user.disable_client")
class DisableClient(Command[ClientView], frozen=True):
    """Ends all that it was granted. Raises NotFound `client.not_found`."""

    client_id: str


@message("user.client_added")
class ClientAdded(Event, frozen=True, kw_only=True):
    """A program was registered."""

    client_id: str
    name: str
    scopes: tuple[str, ...]


@message("user.client_disabled")
class ClientDisabled(Event, frozen=True):
    """A program may do nothing any more."""

    client_id: str


# ---------------------------------------------------------------- letting one in


class Authorization(msgspec.Struct, frozen=True, kw_only=True):
    """What a program asks a person for (RFC 6749 with PKCE, OpenID Connect Core). `request`, `request_uri` and other `response_mode`s than a query are told
    apart to be refused: whoever relies on them is not to be answered as if they had not been there."""

    client_id: Parameter = ""
    redirect_uri: Parameter = ""
    response_type: Parameter = ""
    scope: Parameter = ""
    state: Parameter = ""
    code_challenge: Parameter = ""
    code_challenge_method: Parameter = ""
    nonce: Parameter = ""
    prompt: Parameter = ""
    max_age: Parameter = ""
    request: Annotated[str, msgspec.Meta(max_length=20_000)] = ""
    request_uri: Parameter = ""
    response_mode: Parameter = ""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to show of it. `redirect`: where to send them instead; `sign_in`: first they have to show who they are; `settled`: they have said yes before."""

    client_name: str = ""
    scopes: tuple[str, ...] = ()
    origin: str = ""
    redirect: str = ""
    sign_in: bool = False
    settled: bool = False


@message("user.check_authorization")
class CheckAuthorization(Query[Asked], frozen=True):
    """Raises DomainError `oauth.client_unknown` or `oauth.redirect_unknown`, which are told to nobody but the person."""

    asked: Authorization
    visitor: Identity | None


class SentOn(msgspec.Struct, frozen=True):
    """Where the browser goes from here."""

    where: str


@message("user.answer_authorization")
class AnswerAuthorization(Command[SentOn], frozen=True, kw_only=True):
    """The person's answer. Raises as CheckAuthorization does."""

    asked: Authorization
    holder: Identity
    allowed: bool


class ConsentView(msgspec.Struct, frozen=True, kw_only=True):
    """A program that somebody has let in."""

    client_id: str
    client_name: str
    scopes: tuple[str, ...]
    granted_at: datetime


class Consents(msgspec.Struct, frozen=True):
    items: tuple[ConsentView, ...]
    next_cursor: str | None = None


@message("user.list_consents")
class ListConsents(Query[Consents], frozen=True):
    """The programs that the holder has let in, newest first."""

    holder: Identity


@message("user.withdraw_consent")
class WithdrawConsent(Command[None], frozen=True):
    """Shuts a program out: its tokens are dead at once. Raises NotFound `consent.not_found`."""

    holder: Identity
    client_id: str


@message("user.consent_given")
class ConsentGiven(Event, frozen=True, kw_only=True):
    """A person has let a program in."""

    user_id: str
    client_id: str
    scopes: tuple[str, ...]


@message("user.consent_withdrawn")
class ConsentWithdrawn(Event, frozen=True, kw_only=True):
    """A person has shut a program out."""

    user_id: str
    client_id: str


# ---------------------------------------------------------------- tokens


class ClientTokens(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a program was given (RFC 6749, section 5.1); of the type DPoP it opens nothing without proofs of its key (RFC 9449)."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int
    scope: str
    refresh_token: str = ""
    id_token: str = ""


@message("user.exchange_token")
class ExchangeToken(Command[ClientTokens], frozen=True, kw_only=True):
    """What the token endpoint does. Raises DomainError `oauth.…`, named as RFC 6749 names them."""

    client_id: Parameter = ""
    client_secret: Parameter = ""
    grant_type: Parameter = ""
    code: Parameter = ""
    redirect_uri: Parameter = ""
    code_verifier: Parameter = ""
    refresh_token: Parameter = ""
    scope: Parameter = ""


@message("user.revoke_token")
class RevokeToken(Command[None], frozen=True, kw_only=True):
    """Ends all that the token is part of (RFC 7009); one that is nobody's, or another's, is no fault. Raises DomainError `oauth.invalid_client`."""

    client_id: Parameter = ""
    client_secret: Parameter = ""
    token: Annotated[str, msgspec.Meta(max_length=5000)] = ""


class Introspection(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token is good for (RFC 7662)."""

    active: bool
    scope: str = ""
    client_id: str = ""
    sub: str = ""
    token_type: str = ""
    exp: int = 0
    iat: int = 0
    iss: str = ""
    aud: str = ""
    cnf: dict[str, str] = {}


@message("user.introspect_token")
class IntrospectToken(Query[Introspection], frozen=True, kw_only=True):
    """A program may ask about its own tokens. Raises DomainError `oauth.invalid_client`."""

    client_id: Parameter = ""
    client_secret: Parameter = ""
    token: Annotated[str, msgspec.Meta(max_length=5000)] = ""


class UserInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Claims about a person, as far as the scopes go (OpenID Connect Core, section 5)."""

    sub: str
    name: str = ""
    locale: str = ""
    email: str = ""
    email_verified: bool | None = None


@message("user.get_user_info")
class GetUserInfo(Query[UserInfo], frozen=True):
    """Raises NotFound `user.not_found`."""

    holder: Identity


# ---------------------------------------------------------------- signing out


class LeaveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a program sends somebody with who wants to sign out (OpenID Connect RP-Initiated Logout)."""

    id_token_hint: Annotated[str, msgspec.Meta(max_length=5000)] = ""
    client_id: Parameter = ""
    post_logout_redirect_uri: Parameter = ""
    state: Parameter = ""


class Leaving(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go after it; `certain`: a program that they had signed in to sends them, so that nobody needs to be asked."""

    where: str = ""
    client_name: str = ""
    certain: bool = False


@message("user.check_leaving")
class CheckLeaving(Query[Leaving], frozen=True):
    """Raises DomainError `oauth.redirect_unknown`."""

    asked: LeaveRequest
    visitor: Identity | None
