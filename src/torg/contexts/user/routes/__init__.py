"""Users over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from torg.contexts.user.ports import UserDeps
from torg.contexts.user.routes.accounts import accounts
from torg.contexts.user.routes.addresses import addresses
from torg.contexts.user.routes.api_keys import api_keys
from torg.contexts.user.routes.factors import factors
from torg.contexts.user.routes.oauth import oauth
from torg.contexts.user.routes.passkeys import passkeys
from torg.contexts.user.routes.recovery import recovery
from torg.contexts.user.routes.sessions import sessions
from torg.contexts.user.routes.staff import staff
from torg.contexts.user.routes.tokens import tokens
from torg.kit.http import Route


def routes(deps: UserDeps) -> Sequence[Route]:
    return (*accounts(), *sessions(), *addresses(), *staff(), *tokens(), *api_keys(), *recovery(), *factors(), *passkeys(), *oauth(deps))
