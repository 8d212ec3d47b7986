"""Asking a running shop for what an operator may have it do, over its public API."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Any, Final

import aiohttp
from cyclopts import Parameter

from torg.demo import seed
from torg.kit import settings as settings_

API: Final = "/api/v1"
ADMIN: Final = "admin@torg.example"


class Refused(Exception):
    """What the shop said instead of doing it."""


@Parameter(name="*")
@dataclass(frozen=True)
class Asked:
    """Which shop is asked, and by whom."""

    to: str = ""
    """The shop's address (http://, TORG_HOST, TORG_PORT: http://127.0.0.1:8000)."""
    email: str = ADMIN
    """An operator's account."""
    password: str = ""
    """Its password. Without it, the demonstration's (TORG_DEMO_PASSWORD, or what the data folder keeps); for other accounts it is asked for."""
    data: Path | None = None
    """The shop's data folder (TORG_DATA, var/ in the checkout)."""


USUAL: Final = Asked()


def answer(path: str, asked: Asked, body: object = None) -> Any:
    """What the shop says to a POST; or the command ends with a sentence."""
    try:
        settings = settings_.load(os.environ, {"data": str(asked.data)} if asked.data else {})
        address = asked.to or f"http://{settings.host}:{settings.port}"
        return asyncio.run(_told(address, asked.email, asked.password or _password(asked.email, settings), path, body))
    except settings_.BadSettings as error:
        print(f"torg: {error}", file=sys.stderr)  # noqa: T201 it is a command
        sys.exit(2)
    except (aiohttp.ClientError, OSError, TimeoutError, Refused) as error:
        sys.exit(f"torg: {str(error) or type(error).__name__}")


def _password(email: str, settings: settings_.Settings) -> str:
    kept = Path(settings.data) / "demo-password"
    if email == ADMIN and (settings.demo_password or kept.exists()):
        return seed.demo_password(settings)
    return getpass(f"Password of {email}: ")


async def _told(address: str, email: str, password: str, path: str, body: object) -> Any:
    """The shop answers when it is done, however long that takes."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, sock_connect=5)) as session:
        url = address.rstrip("/") + API
        signed_in = await _asked(session, "POST", f"{url}/sessions", json={"email": email, "password": password})
        headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
        try:
            return await _asked(session, "POST", url + path, json=body, headers=headers)
        finally:
            await _asked(session, "DELETE", f"{url}/sessions/current", headers=headers)


async def _asked(session: aiohttp.ClientSession, method: str, url: str, **more: Any) -> Any:
    async with session.request(method, url, **more) as response:
        answer = await response.json(content_type=None) if response.status != 204 else None
        if response.status >= 400:
            raise Refused(answer.get("detail") or answer.get("title") if isinstance(answer, dict) else f"{url} answered {response.status}")
        return answer
