"""Which way of discovery the settings name."""

from __future__ import annotations

from pathlib import Path

from torg.kit.rpc.peers import FilePeers, Peers, StaticPeers
from torg.kit.settings import BadSettings

KNOWN = "file:/path/to/peers.toml, dns://{context}.example:8000, dns+srv://_http._tcp.{context}.example, consul://127.0.0.1:8500"


def open_peers(discovery: str) -> Peers:
    """Raises BadSettings for a way that there isn't."""
    scheme, _, rest = discovery.partition(":")
    if not discovery:
        return StaticPeers()
    if scheme == "file":
        return FilePeers(Path(rest.removeprefix("//")))
    if scheme in ("dns", "dns+srv"):
        from torg.kit.rpc.dns import open_dns

        return open_dns(discovery)
    if scheme == "consul":
        from torg.kit.rpc.consul import open_consul

        return open_consul(discovery)
    raise BadSettings(f"TORG_DISCOVERY={discovery!r}: this is no way to find other processes; these are: {KNOWN}")
