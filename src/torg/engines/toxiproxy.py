"""Toxiproxy itself, for tests of what happens when a connection is slow, cut or silent: it stands between a client and a server and is told over HTTP
which faults to make. Nothing of Torg needs it to run."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torg.engines import go_build
from torg.engines.go_build import GoProgram
from torg.engines.port import EngineRefused, Place, Tell

PROGRAM: Final = GoProgram(
    name="toxiproxy-server",
    package="github.com/Shopify/toxiproxy/v2/cmd/server",
    modules={"github.com/Shopify/toxiproxy/v2": "v2.12.0"},
    go="1.23.0",
)
ASK_SECONDS: Final = 2


class Toxiproxy:
    """Its HTTP interface at the port; whoever makes a proxy chooses where that listens (say 127.0.0.1)."""

    name = "toxiproxy"
    port = 28474
    version = "Toxiproxy 2.12.0"
    image = ""

    def install(self, home: Path, tell: Tell) -> None:
        go_build.install(home, PROGRAM, tell)

    def command(self, place: Place) -> list[str]:
        program = go_build.installed(place.home, PROGRAM)
        if program is None:
            raise EngineRefused("Toxiproxy is not built: run `torg engines up toxiproxy`, which builds it first")
        place.data.mkdir(parents=True, exist_ok=True)
        return [str(program), "-host", "127.0.0.1", "-port", str(place.port)]

    def environment(self, place: Place) -> Mapping[str, str]:
        return {"LOG_LEVEL": "warn"}

    def user(self) -> str:
        return ""

    def fault(self, place: Place) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=ASK_SECONDS)
        try:
            connection.request("GET", "/proxies")
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"no answer at 127.0.0.1:{place.port}: {error}"
        finally:
            connection.close()
        return "" if status == http.client.OK else f"Toxiproxy at 127.0.0.1:{place.port} answers {status}"

    def prepare(self, place: Place) -> None:
        """It keeps nothing: proxies last as long as the server."""

    def settings(self, place: Place) -> Mapping[str, str]:
        """What its own client looks for; Torg has no setting for it."""
        return {"TOXIPROXY_URL": f"http://127.0.0.1:{place.port}"}
