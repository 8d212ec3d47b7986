"""Which country an address belongs to, as a MaxMind-format file has it, and what rules about countries say of it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final

from torg.kit.networks import Address
from torg.kit.settings import BadSettings

if TYPE_CHECKING:
    from maxminddb import Reader

NO_COUNTRIES: Final = frozenset({"EU", "EZ", "UN", "ZZ", "QO", "XA", "XB"})
"""Codes of two letters that have a name and are nobody's country."""


class Atlas:
    """Knows countries by their ISO 3166 codes."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def country(self, address: Address | None) -> str:
        """Empty where it is not known."""
        found = None if address is None else self._reader.get(address)
        country = found.get("country") if isinstance(found, dict) else None
        code = country.get("iso_code") if isinstance(country, dict) else None
        return code if isinstance(code, str) else ""


def open_atlas(path: str) -> Atlas | None:
    """The file that TORG_GEO names, if any. Raises BadSettings."""
    if not path:
        return None
    import maxminddb  # loaded where it is used

    try:
        return Atlas(maxminddb.open_database(path))
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        raise BadSettings(f"TORG_GEO={path!r} cannot be read: {error}: name a file in MaxMind's format with countries, as GeoLite2-Country.mmdb") from error


@cache
def codes() -> frozenset[str]:
    """Of two letters, by ISO 3166 and, as Kosovo's, by use."""
    from babel import Locale  # loaded where it is used

    return frozenset(code for code in map(str, Locale("en").territories) if len(code) == 2 and code.isalpha()) - NO_COUNTRIES


def ruled(country: str, countries: Mapping[str, Container[str]]) -> bool | None:
    """Whether somebody from there is let in, by countries of the kinds allow and block, the first that names it, and only: where there are any of these all
    that are not named are left out, and addresses of which nothing is known (""). None where nothing is said of it."""
    if country in countries.get("allow", ()):
        return True
    only = countries.get("only")
    return False if country in countries.get("block", ()) or (only and country not in only) else None
