"""What a running process is made to believe of its clock and its disk, by a small library that is loaded before any other (world.c)."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("world.c")
DISKS: Final = {"healthy": 0, "is full": 1, "fails": 2, "writes half": 3, "fails to sync": 4}
"""What can be wrong with the disk, as the library knows it."""
_PAGE = struct.Struct("=qqq")


class World:
    """The processes that were started with `settings`, and all below them. None of them notices anything before it is told to."""

    def __init__(self, folder: Path) -> None:
        """Builds the library. Raises OSError or CalledProcessError where there is no C compiler."""
        self._pages = folder / "pages"
        self._pages.mkdir(parents=True)
        self._pages.chmod(0o777)  # engines run as users of their own
        library = folder / "world.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise OSError("there is no C compiler")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True, capture_output=True, timeout=60)
        self.settings: Mapping[str, str] = {"LD_PRELOAD": str(library), "CHAOS_WORLD": str(self._pages)}

    def clock(self, pid: int, ahead: int) -> None:
        """Its wall clock is so many seconds ahead from now on; 0 is right again."""
        self._set(pid, 0, ahead)

    def disk(self, pid: int, state: str) -> None:
        """One of DISKS."""
        self._set(pid, 8, DISKS[state])

    def refused(self, pid: int) -> int:
        """How many writes and syncs of the process have been refused or cut short so far."""
        _, _, refused = _PAGE.unpack((self._pages / str(pid)).read_bytes())
        return int(refused)

    def heal(self) -> None:
        """Clocks and disks of all are as they should be."""
        for page in self._pages.iterdir():
            self._set(int(page.name), 0, 0)
            self._set(int(page.name), 8, 0)

    def _set(self, pid: int, offset: int, value: int) -> None:
        with (self._pages / str(pid)).open("r+b") as page:
            page.seek(offset)
            page.write(struct.pack("=q", value))
