"""Files that tell countries from addresses, made for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def mapped(path: Path, countries: Mapping[str, str]) -> str:
    """Writes a file in MaxMind's format: a country's code for each network. Its path."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="GeoLite2-Country")
    for network, country in countries.items():
        writer.insert_network(IPSet([network]), {"country": {"iso_code": country}})
    writer.to_db_file(str(path))
    return str(path)
