"""`torg keys`: the keys that a running shop signs tokens with."""

from __future__ import annotations

from cyclopts import App

from torg.recovery.asking import USUAL, Asked, answer

app = App(name="keys", help="Change the keys that a running shop signs tokens with.")


@app.command
def rotate(*, compromised: bool = False, asked: Asked = USUAL) -> None:
    """Have the running shop make a new key. It is published at once and signs a minute later; nobody has to sign in again.

    Parameters
    ----------
    compromised
        Somebody may know the old ones: the new key signs at once, no token that another has signed is believed any more, and sessions go on once they are
        renewed.
    """
    told = answer("/admin/keys/rotate", asked, {"compromised": compromised})
    for key in told["items"]:
        until = f"believed until {key['verifies_until']}" if key["verifies_until"] else "believed"
        print(f"{key['kid']}  signs from {key['signs_from']}, {until}")  # noqa: T201 it is a command
