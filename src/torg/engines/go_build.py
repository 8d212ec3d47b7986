"""Programs that their authors publish as Go modules, built here: the module proxy has the sources, Go's checksum database vouches for them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torg.engines import fetch
from torg.engines.port import EngineRefused, Tell

BUILD_SECONDS = 1800


@dataclass(frozen=True)
class GoProgram:
    """A main `package` and the modules to build it from, its own first; `go` is the language version that they ask for. Every other module follows from
    these by Go's minimal version selection, so that the same is built everywhere."""

    name: str
    package: str
    modules: Mapping[str, str]
    go: str

    @property
    def version(self) -> str:
        return next(iter(self.modules.values()))

    @property
    def module_file(self) -> str:
        """The `go.mod` of a module that needs nothing but this program. (`go install` refuses programs whose own file replaces modules.)"""
        required = "".join(f"\t{module} {version}\n" for module, version in self.modules.items())
        return f"module torg/engine\n\ngo {self.go}\n\nrequire (\n{required})\n"

    @property
    def file(self) -> str:
        """Tells this build from one of other versions."""
        return "-".join((self.name, *self.modules.values()))


def installed(home: Path, program: GoProgram) -> Path | None:
    """The program as it was built here, else one of its name that the machine has."""
    own = home / "bin" / program.file
    if own.exists():
        return own
    named = shutil.which(program.name)
    return Path(named) if named else None


def install(home: Path, program: GoProgram, tell: Tell) -> None:
    """Builds it unless it is there. Raises EngineRefused."""
    if installed(home, program):
        return
    if not shutil.which("go"):
        raise EngineRefused(f"Neither Go nor {program.name} is here: install Go {program.go} or newer to have it built, or put {program.name} on the PATH.")
    tell(f"building {program.name} {program.version} from its sources, which takes minutes")
    with tempfile.TemporaryDirectory(dir=home) as folder:
        (Path(folder) / "go.mod").write_text(program.module_file)
        fetch.run(
            ["go", "build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-o", program.file, program.package], f"{program.name} can't be built",
            home / "install.log", folder=Path(folder), environment={"GOFLAGS": "", "GOWORK": "off", "CGO_ENABLED": "0"}, seconds=BUILD_SECONDS,
        )  # fmt: skip
        (home / "bin").mkdir(exist_ok=True)
        (Path(folder) / program.file).replace(home / "bin" / program.file)
