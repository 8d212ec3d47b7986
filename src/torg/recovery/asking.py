"""Asking a running shop for what an operator may have it do, over its public API."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, replace
from getpass import getpass
from pathlib import Path
from typing import Any, Final

import aiohttp
from cyclopts import Parameter

from torg.demo import seed
from torg.kit import settings as settings_
from torg.kit.scrubbing import clean

API: Final = "/api/v1"
ADMIN: Final = "admin@torg.example"


class Refused(Exception):
    """What the shop said instead of doing it. `ticket`: the password was right, and a second factor is asked for with this."""

    def __init__(self, detail: str, ticket: str = "") -> None:
        super().__init__(detail)
        self.ticket = ticket


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """Which shop is asked, and by whom."""

    to: str = ""
    """The shop's address (http://, TORG_HOST, TORG_PORT: http://127.0.0.1:8000)."""
    email: str = ""
    """An operator's account (TORG_ADMIN; the demonstration's admin@torg.example)."""
    password: str = ""
    """Its password. Without it, the demonstration's (TORG_DEMO_PASSWORD, or what the data folder keeps); for other accounts it is asked for."""
    code: str = ""
    """A code of their app, or a recovery code, where they have a second factor. Without it, it is asked for."""
    data: Path | None = None
    """The shop's data folder (TORG_DATA, var/ in the checkout)."""


USUAL: Final = Asked()


def answer(path: str, asked: Asked, body: object = None) -> Any:
    """What the shop says to a POST; or the command ends with a sentence."""
    try:
        settings = settings_.load(os.environ, {"data": str(asked.data)} if asked.data else {})
        address = asked.to or f"http://{settings.host}:{settings.port}"
        asked = replace(asked, email=asked.email or settings.admin or ADMIN)
        return asyncio.run(_told(address, asked, asked.password or _password(asked.email, settings), path, body))
    except settings_.BadSettings as error:
        print(f"torg: {clean(str(error))}", file=sys.stderr)  # noqa: T201 it is a command
        sys.exit(2)
    except (aiohttp.ClientError, OSError, TimeoutError, Refused) as error:
        sys.exit(f"torg: {str(error) or type(error).__name__}")


def _password(email: str, settings: settings_.Settings) -> str:
    kept = Path(settings.data) / "demo-password"
    if email == ADMIN and (settings.demo_password or kept.exists()):
        return seed.demo_password(settings)
    return _typed(f"Password of {email}: ", f"the password of {email}: say it with --password, or name the shop's folder with --data")


def _typed(prompt: str, wanted: str) -> str:
    """What somebody types, unseen. Raises Refused where there is nobody to ask: a job at night gets a sentence."""
    if not sys.stdin.isatty():
        raise Refused(f"there is no terminal to ask for {wanted}")
    return getpass(prompt)


async def _told(address: str, asked: Asked, password: str, path: str, body: object) -> Any:
    """The shop answers when it is done, however long that takes."""
    if not address.startswith(("http://", "https://")):
        raise Refused(f"--to {address} is no address of a shop: write it as http://127.0.0.1:8000")
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)) as session:
        url = address.rstrip("/") + API
        signed_in = await _signed_in(session, url, asked, password)
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        try:
            return await _asked(session, "POST", url + path, json=body, headers=headers)
        finally:
            await _asked(session, "DELETE", f"{url}/sessions/current", headers=headers)


async def _signed_in(session: aiohttp.ClientSession, url: str, asked: Asked, password: str) -> Any:
    try:
        return await _asked(session, "POST", f"{url}/sessions", json={"email": asked.email, "password": password})
    except Refused as refused:
        if not refused.ticket:
            raise
        code = asked.code or _typed(f"Code of {asked.email}'s app, or a recovery code: ", f"a code of {asked.email}'s app: say it with --code")
        return await _asked(session, "POST", f"{url}/sessions/second-factor", json={"ticket": refused.ticket, "code": code})


async def _asked(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:
    async with session.request(method, url, **more) as response:
        answer = await response.json(content_type=None) if response.status != 204 else None
        if response.status >= 400:
            raise _refused(answer) if isinstance(answer, dict) else Refused(f"{url} answered {response.status}")
        return answer


def _refused(problem: dict[str, Any]) -> Refused:
    told = {error["field"]: error["detail"] for error in problem.get("errors", ())}
    ticket = told.get("ticket", "") if problem.get("code") == "session.second_factor" else ""
    return Refused(problem.get("detail") or problem["title"], ticket)
