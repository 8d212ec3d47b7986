"""Settings: environment over file over default, all checked at once before anything starts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

import msgspec

PREFIX = "TORG_"
BESIDE = (f"{PREFIX}CONFIG", f"{PREFIX}TEST_")  # the file of settings, servers for tests
_OF_ONE_CONTEXT = re.compile(r"(?P<context>[a-z]+)_db(?P<replica>_replica)?")


DEMONSTRATIONS = "torg"
"""The password of engines, where compose.yaml is told none."""


class BadSettings(Exception):
    """Lists every setting that is wrong, and what would be right."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Each field is the environment variable TORG_<FIELD> or the same lower-case key in the TOML file that TORG_CONFIG names.
    `demo_products`: only so many of the demonstration's products; 0 is all of them.

    `admin`: the e-mail address of whoever becomes the administrator of a shop that has none.

    `staff_factor`: whether the staff need a second factor: "demonstration" lets them do without it there alone.

    `staff_passwords`: which rules the passwords of the staff keep: everybody's (OWASP ASVS), or those of PCI DSS, which wants more.

    `oidc_factors`: words of an ID token's `amr` or `acr`, such as "mfa", by which the provider outside is believed that it asked for a second factor.

    Engines are named by URL, the embedded one where there is none: `db` postgresql://, `bus` kafka://, `redis` redis://, `documents` mongodb://,
    `index` elasticsearch://, `facts` clickhouse://. `bus_replicas`: on how many of its brokers each record is kept.
    TORG_<CONTEXT>_DB and TORG_<CONTEXT>_DB_REPLICA (`databases`, `replicas`) give one context a database of its own.

    `identities`: the folder of services' keys; without it processes of a fleet make theirs in the data folder.

    `tls`: processes of a fleet speak TLS with each other. `front_port`: where a gateway by itself answers people, apart from its fleet; 0: where that
    asks it.

    The front door: `gateway` is a TOML file over the defaults of `torg gateway routes`; without `limits` nothing is counted; `proxies` are the networks whose
    X-Forwarded-For is believed; `geo` is a MaxMind-format file of countries."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    data: str = str(Path(__file__).parents[3] / "var")
    public_url: str = ""
    demo: bool = True
    demo_password: str = ""
    demo_products: Annotated[int, msgspec.Meta(ge=0)] = 0
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")] = "USD"
    language: Literal["en", "ru"] = "en"
    sync: Literal["FULL", "NORMAL", "OFF"] = "FULL"
    calls: Literal["local", "loopback"] = "local"
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    log_format: Literal["console", "json"] = "console"
    otlp: str = ""
    trace_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.02
    response_cache: bool = True
    carrier_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0
    card_payment_minutes: Annotated[float, msgspec.Meta(gt=0)] = 15
    acquirer_url: str = ""
    start_within: Annotated[float, msgspec.Meta(ge=0)] = 120
    acquirer_secret: str = ""
    password_memory_kib: Annotated[int, msgspec.Meta(ge=8)] = 19456
    smtp: str = ""
    mail_from: str = "Torg <shop@torg.example>"
    secret: str = ""
    identities: str = ""
    db: str = ""
    db_replica: str = ""
    databases: dict[str, str] = {}
    replicas: dict[str, str] = {}
    bus: str = ""
    bus_replicas: Annotated[int, msgspec.Meta(ge=1)] = 1
    redis: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_factors: str = ""
    documents: str = ""
    index: str = ""
    facts: str = ""
    topology: str = "all"
    instance: str = ""
    discovery: str = ""
    front: str = ""
    front_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    tls: bool = False
    gateway: str = ""
    limits: bool = True
    proxies: str = ""
    geo: str = ""
    clock: str = ""
    failpoints: str = ""
    monitor_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    monitor_from: str = "127.0.0.0/8,::1"
    policy: str = ""
    admin: str = ""
    staff_factor: Literal["demonstration", "always", "never"] = "demonstration"
    staff_passwords: Literal["asvs", "pci"] = "asvs"


def process_of(settings: Settings) -> str:
    """This process's name on the bus and in leases: stable over its restarts, and unlike any other's."""
    return settings.instance or f"{gethostname()}-{settings.port}"


def load(environment: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Settings:
    """Reads the settings; raises BadSettings that names all bad ones at once."""
    given: dict[str, Any] = _file(environment.get(f"{PREFIX}CONFIG", ""))
    named = {name: value for name, value in environment.items() if name.startswith(PREFIX) and not name.startswith(BESIDE)}
    given |= {name[len(PREFIX) :].lower(): value for name, value in named.items()}
    given |= overrides or {}
    hints, faults = get_type_hints(Settings, include_extras=True), []
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if own := _OF_ONE_CONTEXT.fullmatch(name):
            checked.setdefault("replicas" if own["replica"] else "databases", {})[own["context"]] = str(value)
            continue
        if name not in hints:
            faults.append(f"{PREFIX}{name.upper()}: there is no such setting; known are {', '.join(sorted(PREFIX + n.upper() for n in hints))}")
            continue
        try:
            checked[name] = msgspec.convert(value, hints[name], strict=False)
        except msgspec.ValidationError as error:
            faults.append(f"{PREFIX}{name.upper()}={value!r}: {error}")
    if (address := checked.get("public_url")) and not _is_address(address):
        faults.append(f"{PREFIX}PUBLIC_URL={address!r} is no address: write https://shop.example or http://127.0.0.1:8000")
    if not checked.get("demo", True):
        faults += _of_the_demonstration(checked)
    if faults:
        raise BadSettings("These settings are wrong:\n  " + "\n  ".join(faults))
    return Settings(**checked)


def _of_the_demonstration(checked: Mapping[str, Any]) -> list[str]:
    """Engines whose password is the one that compose.yaml gives the demonstration: everybody knows it."""
    databases = {f"{context}_db": url for context, url in checked.get("databases", {}).items()}
    replicas = {f"{context}_db_replica": url for context, url in checked.get("replicas", {}).items()}
    return [
        f"{PREFIX}{name.upper()}: its password is the demonstration's, which everybody knows; a shop without the demonstration has one of its own"
        for name, url in {**checked, **databases, **replicas}.items()
        if isinstance(url, str) and f":{DEMONSTRATIONS}@" in url
    ]


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _file(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{PREFIX}CONFIG={path!r} cannot be read: {error}") from error
