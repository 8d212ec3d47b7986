"""An OpenID provider outside, as its discovery document describes it (OpenID Connect Core and Discovery): asked with PKCE and a nonce, believed as far as
its signature, its issuer and its audience go."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from torg.contexts.user.model import outside as rules
from torg.contexts.user.model.outside import OutsideIdentity
from torg.contexts.user.ports import Asks
from torg.kit import telemetry
from torg.kit.errors import Unauthenticated, Unavailable
from torg.kit.outbound import Refused
from torg.kit.tokens import LARGEST, LEEWAY
from torg.kit.urls import is_loopback, is_web, with_query
from torg.kit.values import Clock

KEPT: Final = timedelta(minutes=10)  # discovery and keys
ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"})


class _Asymmetric(JWSRegistry):
    """A secret that both sides know, and no signature at all, are no signatures of the provider's."""

    max_payload_length = LARGEST

    def get_alg(self, name: str) -> Any:
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError(f"{name} is not among {', '.join(sorted(ALGORITHMS))}")
        return self.algorithms[name]


class _Described(msgspec.Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""


class _Given(msgspec.Struct, frozen=True):
    access_token: str
    id_token: str


class _Said(msgspec.Struct, frozen=True):
    iss: str
    sub: str
    aud: str | list[str]
    exp: float
    iat: float
    nonce: str = ""
    azp: str = ""
    email: str = ""
    email_verified: bool | str = False
    name: str = ""
    auth_time: float = 0
    amr: tuple[str, ...] = ()
    acr: str = ""


class _About(msgspec.Struct, frozen=True):
    sub: str
    email: str = ""
    email_verified: bool | str = False
    name: str = ""


@dataclass(frozen=True)
class _Known:
    described: _Described
    keys: KeySet
    at: datetime


_REGISTRY: Final = _Asymmetric(algorithms=sorted(ALGORITHMS), strict_check_header=False)


class OidcProvider:
    """Implements Provider. `back` is where the provider sends browsers to."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, back: str, outbound: Asks, clock: Clock) -> None:
        self.issuer, self._client_id, self._client_secret, self._back = issuer, client_id, client_secret, back
        self._outbound, self._clock = outbound, clock
        self._known: _Known | None = None

    async def start(self, state: str, nonce: str, challenge: str, anew: bool = False) -> str:
        described = (await self._learn()).described
        asked = {
            "response_type": "code", "client_id": self._client_id, "redirect_uri": self._back, "scope": "openid email profile", "state": state,
            "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        return with_query(described.authorization_endpoint, asked | ({"prompt": "login", "max_age": "0"} if anew else {}))

    async def identify(self, code: str, verifier: str, nonce: str) -> OutsideIdentity:
        known = await self._learn()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._back, "code_verifier": verifier}
        credentials = base64.b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        try:
            given = msgspec.convert(await self._outbound.post_form(known.described.token_endpoint, form, authorization=f"Basic {credentials}"), _Given)
        except (Refused, msgspec.ValidationError) as error:
            raise self._disbelieved(str(error)) from error
        said = await self._read(given.id_token)
        if said.nonce != nonce:
            raise self._disbelieved("the ID token was made for another sign-in")
        about = await self._about(known.described, given, said)
        return OutsideIdentity(
            issuer=self.issuer, subject=said.sub, email=about.email, email_verified=about.email_verified in (True, "true"), name=about.name,
            authenticated_at=_moment(said.auth_time), amr=frozenset(said.amr), acr=said.acr,
        )  # fmt: skip

    async def _about(self, described: _Described, given: _Given, said: _Said) -> _About:
        if said.email or not described.userinfo_endpoint:
            return _About(said.sub, said.email, said.email_verified, said.name)
        try:
            answer = await self._outbound.get_json(described.userinfo_endpoint, authorization=f"Bearer {given.access_token}")
            about = msgspec.convert(answer, _About)
        except (Refused, msgspec.ValidationError) as error:
            raise self._disbelieved(str(error)) from error
        if about.sub != said.sub:
            raise self._disbelieved("the provider speaks of two people")
        return about

    async def _read(self, id_token: str) -> _Said:
        """Checked by RFC 8725. Keys that are not known are asked for once."""
        for fresh in (False, True):
            keys = (await self._learn(fresh)).keys
            try:
                token = jws.extract_compact(id_token.encode())
                if fresh or any(key.kid == token.headers().get("kid") for key in keys.keys):
                    payload = jws.deserialize_compact(id_token, keys, registry=_REGISTRY).payload or b""
                    return self._believed(msgspec.json.decode(payload, type=_Said))
            except (JoseError, ValueError, msgspec.DecodeError) as error:
                raise self._disbelieved(f"its ID token is not true: {error}") from error
        raise self._disbelieved("its ID token is signed by nobody")

    def _disbelieved(self, why: str) -> Unauthenticated:
        """Who signs in is told that it did not work, operators why."""
        telemetry.log.warning("the provider outside was not believed", issuer=self.issuer, why=why)
        return rules.refused(why)

    def _believed(self, said: _Said) -> _Said:
        now, audience = self._clock().timestamp(), [said.aud] if isinstance(said.aud, str) else said.aud
        leeway = LEEWAY.total_seconds()
        if said.iss != self.issuer or self._client_id not in audience or (len(audience) > 1 and said.azp != self._client_id):
            raise self._disbelieved("its ID token is another provider's, or for somebody else")
        if not said.iat - leeway <= now < said.exp + leeway:
            raise self._disbelieved("its ID token has expired: compare the clocks")
        return said

    async def _learn(self, fresh: bool = False) -> _Known:
        """Raises Unavailable."""
        now = self._clock()
        if self._known is None or fresh or not timedelta() <= now - self._known.at < KEPT:
            try:
                answer = await self._outbound.get_json(f"{self.issuer}/.well-known/openid-configuration")
                described = self._checked(msgspec.convert(answer, _Described))
                keys = KeySet.import_key_set(await self._outbound.get_json(described.jwks_uri))  # type: ignore[arg-type]
            except (Refused, msgspec.ValidationError, JoseError, TypeError, KeyError) as error:
                telemetry.log.warning("the provider outside can't be asked", issuer=self.issuer, why=str(error))
                raise Unavailable(f"the provider {self.issuer} can't be asked: {error}") from error
            self._known = _Known(described, keys, now)
        return self._known

    def _checked(self, described: _Described) -> _Described:
        """Raises Refused for a document that is another's, or that leads over plain HTTP where its issuer doesn't."""
        if described.issuer != self.issuer:
            raise Refused(f"it calls itself {described.issuer}")
        for uri in (described.authorization_endpoint, described.token_endpoint, described.jwks_uri, described.userinfo_endpoint):
            if uri and not (is_web(uri) or (is_loopback(uri) and is_loopback(self.issuer))):
                raise Refused(f"{uri} is no https:// address")
        return described


def _moment(seconds: float) -> datetime | None:
    """None for none, or for what is no time."""
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 1e11 else None
