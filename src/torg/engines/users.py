"""The system user for servers that refuse to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

from torg.engines.port import EngineRefused

NAME = "torg-engines"


def unprivileged() -> str:
    """Who runs a server that refuses to be root: nobody else when the one who asks isn't root (empty), else a system user, made when it is missing."""
    if os.geteuid() != 0:
        return ""
    if not _exists(NAME):
        _make()
    return NAME


def own(path: Path, user: str) -> None:
    """Gives the folder and all in it to the user, unless it is his already; nothing when the user is empty."""
    if not user or path.stat().st_uid == (entry := pwd.getpwnam(user)).pw_uid:
        return
    for one in (path, *path.rglob("*")):
        os.chown(one, entry.pw_uid, entry.pw_gid, follow_symlinks=False)


def closed(path: Path, user: str) -> Path | None:
    """The first folder on the way to the path that this user can't enter, None when the way is open or the user is empty."""
    if not user:
        return None
    entry = pwd.getpwnam(user)
    for folder in reversed((path.absolute(), *path.absolute().parents)):
        if folder.is_dir() and not _may_enter(folder.stat(), entry):
            return folder
    return None


def _may_enter(folder: os.stat_result, user: pwd.struct_passwd) -> bool:
    if folder.st_uid == user.pw_uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == user.pw_gid else stat.S_IXOTH))


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _make() -> None:
    if not (tool := shutil.which("useradd")):
        raise EngineRefused(
            f"This server must not run as root, and useradd isn't there to make the system user {NAME!r}: make that user, or start as somebody else than root."
        )
    made = subprocess.run(
        [tool, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME], capture_output=True, text=True, check=False
    )
    if made.returncode and not _exists(NAME):  # another start may have made it meanwhile
        raise EngineRefused(f"This server must not run as root, and the system user {NAME!r} can't be made: {made.stderr.strip()}")
