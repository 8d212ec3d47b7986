"""What people prove themselves with besides a password."""

from __future__ import annotations

import msgspec

from torg.contexts.user.contracts.passkeys import Challenge
from torg.contexts.user.contracts.sessions import Tokens
from torg.kit.auth import Identity
from torg.kit.messages import Command, Event, Query, message


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for after the password: a code of an app (`totp`), or a passkey (`passkey_step`); `passkeys` and `recovery_codes` are so many, the codes
    unused. `missing`: they are of the staff, and may not act as such before they have set one up. `proven`: they have shown who they are a moment ago, so that
    what matters is done without asking them anew; `password`: they have one."""

    totp: bool
    recovery_codes: int
    missing: bool
    passkey_step: bool = False
    passkeys: int = 0
    password: bool = True
    proven: bool = False


class NewTotp(msgspec.Struct, frozen=True):
    """A secret for an app that shows codes; `uri` is what its QR code says. It counts once a first code was given."""

    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """Shown this once. Each lets its holder in once, in place of a code of the app."""

    codes: tuple[str, ...]


@message("user.factor_changed")
class FactorChanged(Event, frozen=True):
    """A user has a second factor now, or none any more."""

    user_id: str
    totp: bool


@message("user.passkey_step_changed")
class PasskeyStepChanged(Event, frozen=True):
    """A user is asked for a passkey after the password from now on, or no more."""

    user_id: str
    asked: bool


@message("user.get_factors")
class GetFactors(Query[Factors], frozen=True):
    """What the holder proves themselves with besides a password."""

    holder: Identity


@message("user.begin_totp")
class BeginTotp(Command[NewTotp], frozen=True, kw_only=True):
    """Makes a secret for an app that shows codes. `password` proves who they are where nothing else has a moment ago. Raises Invalid for a wrong one,
    Forbidden `session.reauthenticate`, DomainError `factor.exists`."""

    holder: Identity
    password: str = ""


@message("user.confirm_totp")
class ConfirmTotp(Command[RecoveryCodes], frozen=True, kw_only=True):
    """From now on signing in takes a code. Raises Invalid for a wrong one, DomainError `factor.not_begun`."""

    holder: Identity
    code: str


@message("user.renew_recovery_codes")
class RenewRecoveryCodes(Command[RecoveryCodes], frozen=True, kw_only=True):
    """Ten new ones in place of those before. Raises Invalid for a wrong password, Forbidden `session.reauthenticate`, DomainError `factor.not_begun`."""

    holder: Identity
    password: str = ""


@message("user.remove_totp")
class RemoveTotp(Command[None], frozen=True, kw_only=True):
    """No code of an app is asked for any more. Raises Invalid for a wrong password, Forbidden `session.reauthenticate`."""

    holder: Identity
    password: str = ""


@message("user.add_passkey_step")
class AddPasskeyStep(Command[RecoveryCodes], frozen=True):
    """From now on signing in by password takes one of the holder's passkeys, too. Answers with new recovery codes where they had none. Raises Forbidden
    `session.reauthenticate`, DomainError `passkey.none`."""

    holder: Identity


@message("user.remove_passkey_step")
class RemovePasskeyStep(Command[None], frozen=True):
    """No passkey is asked for after the password any more. Raises Forbidden `session.reauthenticate`."""

    holder: Identity


@message("user.give_code")
class GiveCode(Command[Tokens], frozen=True, kw_only=True):
    """Opens the session that the right password alone did not open. `ticket` is what signing in was answered with, good for five minutes; `code` is the
    app's, or a recovery code. Raises Unauthenticated `session.bad_ticket`, `session.bad_code`; TooManyRequests `session.too_many_attempts`."""

    ticket: str
    code: str
    address: str = ""


@message("user.begin_passkey_step")
class BeginPasskeyStep(Command[Challenge], frozen=True):
    """Asks a device for a passkey of whoever gave the right password. Raises Unauthenticated `session.bad_ticket`, DomainError `passkey.none`."""

    ticket: str


@message("user.give_passkey")
class GivePasskey(Command[Tokens], frozen=True, kw_only=True):
    """Opens the session that the right password alone did not open. `ticket` is what signing in was answered with, `challenge` the challenge's own, and
    `credential` what the device says. Raises Unauthenticated `session.bad_ticket`, `passkey.refused`."""

    ticket: str
    challenge: str
    credential: str
    address: str = ""
