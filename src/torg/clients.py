"""`torg oauth`: the programs of others that a running shop knows."""

from __future__ import annotations

from cyclopts import App

from torg.recovery.asking import USUAL, Asked, answer

app = App(name="oauth", help="Register programs of others with a running shop.")


@app.command(name="add-client")
def add_client(
    name: str,
    *,
    redirect: tuple[str, ...] = (),
    scope: tuple[str, ...] = ("openid", "profile", "email"),
    logout: tuple[str, ...] = (),
    backchannel: str = "",
    public: bool = False,
    acts_for: str = "",
    tier: str = "free",
    asked: Asked = USUAL,
) -> None:
    """Register a program. Its id and its secret are shown this once.

    Parameters
    ----------
    name
        What people see when it asks to be let in.
    redirect
        Where people come back to, exactly; may be given several times.
    scope
        What it may ask for, such as openid or orders:read (`torg policy` lists all); may be given several times.
    logout
        Where people may be sent after they have signed out.
    backchannel
        Where to tell it that somebody has signed out.
    public
        It runs on people's own machines, and has no secret.
    acts_for
        The id of an account whose things it sees when it comes by itself (client credentials).
    tier
        How much it may ask: free, premium, enterprise.
    """
    grants = [*(["authorization_code", "refresh_token"] if redirect else []), *(["client_credentials"] if acts_for else [])]
    body = {
        "name": name, "confidential": not public, "redirect_uris": redirect, "logout_uris": logout, "backchannel_uri": backchannel, "scopes": scope,
        "grants": grants or ["authorization_code"], "tier": tier, "acts_for": acts_for or None,
    }  # fmt: skip
    told = answer("/admin/clients", asked, body)
    print(f"client_id      {told['id']}")  # noqa: T201 it is a command
    print(f"client_secret  {told['client_secret'] or '(none: it proves itself by PKCE)'}")  # noqa: T201
