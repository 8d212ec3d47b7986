"""TLS between the processes of a fleet (RFC 8446). No authority has to be asked or can be lost: a process makes itself a certificate for a day with its own
service's key, and believes exactly the keys that it knows of others (kit.rpc.identity), by certificates of these that it makes for itself alone."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from tempfile import NamedTemporaryFile
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from torg.kit.rpc.identity import KeyPair, Keys, PublicKey
from torg.kit.values import Clock

LIVES: Final = timedelta(days=1)
"""How long a certificate is good for; a new one is made at half of that."""
NOTICED: Final = timedelta(seconds=10)
"""In which everybody hears of a key that is not the only one of its service; so long the one before it is shown."""
LEEWAY: Final = timedelta(minutes=5)
"""By which the clocks of two machines may differ."""
EVER: Final = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
"""A key is believed for as long as it is known."""
PLAIN: Final = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE"})
"""Of what OpenSSL says to what is no TLS."""


class Tls:
    """What the services of this process show others, and whom they believe. The first of `services` is who asks; whom others seek here they name (SNI)."""

    def __init__(self, keys: Keys, services: Sequence[str], clock: Clock) -> None:
        self._keys, self._services, self._clock = keys, tuple(services), clock
        self._voucher = Ed25519PrivateKey.generate()
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}
        self._made, self._since, self._until = -1, EVER[0], EVER[0]
        """For which version of the keys contexts are made, and from when until when they are of use."""
        self._seen = {pair.public.id: EVER[0] for service in services for pair in keys.own(service)}

    @property
    def version(self) -> int:
        """Differs once any key has changed: what was agreed on before may not hold any more."""
        return self._keys.version

    def look(self) -> bool:
        """Whether keys have become known that were not."""
        before = self._keys.version
        self._keys.look()
        return self._keys.version != before

    def to(self, service: str) -> ssl.SSLContext:
        """For a connection to a service: nobody else is taken for it. Raises ConnectionError where no key of it is known."""
        if not self._keys.known(service) and not self.look():
            raise ConnectionError(f"no public key of {service} is known here: see TORG_IDENTITIES")
        return self._context("to", service)

    def taking(self) -> ssl.SSLContext:
        """For a listening port, for as long as it listens: who connects must be one of the fleet's."""
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        return context

    def _choose(self, handshake: Any, name: str | None, _: ssl.SSLContext) -> int | None:
        if name not in self._services:
            return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        self._keys.look()  # who connects may have a new one
        handshake.context = self._context("of", name)
        return None

    def _context(self, way: str, service: str) -> ssl.SSLContext:
        now = self._clock()
        if self._made != self._keys.version or not self._since <= now < self._until:
            self._made, self._since, self._until = self._keys.version, now, now + LIVES / 2
            self._contexts.clear()
        if (way, service) not in self._contexts:
            self._contexts[way, service] = self._outgoing(service) if way == "to" else self._incoming(service)
        return self._contexts[way, service]

    def _outgoing(self, service: str) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_CLIENT)
        self._show(context, self._services[0])
        self._believe(context, (service,))
        return context

    def _incoming(self, service: str) -> ssl.SSLContext:
        context = _context(ssl.PROTOCOL_TLS_SERVER)
        context.num_tickets = 0  # connections are kept, and nobody here takes one up again
        self._show(context, service)
        self._believe(context, self._keys.services())
        return context

    def _show(self, context: ssl.SSLContext, service: str) -> None:
        key, now = Ed25519PrivateKey.generate(), self._clock()
        made = certificate(service, key.public_key(), self._signer(service, now), now - LEEWAY, now + LIVES)
        with NamedTemporaryFile(suffix=".pem") as file:  # OpenSSL takes a key from a file alone; its owner's, and gone after
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made)
            file.flush()
            context.load_cert_chain(file.name)

    def _signer(self, service: str, now: datetime) -> KeyPair:
        newest, *older = self._keys.own(service)
        heard_of = self._seen.setdefault(newest.public.id, now) + NOTICED
        if not older or heard_of <= now:
            return newest
        self._until = min(self._until, heard_of)
        return older[0]

    def _believe(self, context: ssl.SSLContext, services: Iterable[str]) -> None:
        for service in services:
            for public in self._keys.known(service):
                context.load_verify_locations(cadata=_vouched(service, public, self._voucher))


def told(error: BaseException, service: str = "") -> str:
    """What went wrong between two who would speak TLS, for those who run them."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"it shows no certificate of {service or 'the fleet'} that is believed here ({error.verify_message}): see TORG_IDENTITIES, and compare the clocks"
        )
    reason = getattr(error, "reason", None) or str(error)
    if reason in PLAIN:
        return "it does not speak TLS: TORG_TLS is to be the same in all processes"
    if reason == "CALLBACK_FAILED":
        return "it seeks a service that is not here"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it shows no certificate"
    return str(error) or f"it is not {service}, or believes none of the keys of who asks: its log says so"


def certificate(service: str, key: Ed25519PublicKey, signer: KeyPair, since: datetime, until: datetime) -> bytes:
    """Says in the name of a service's own key that another key is that service's, as PEM."""
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    made = _builder(_name(service), _name(_issuer(service, signer.public)), key, signer.public.signing, since, until)
    made = made.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True).add_extension(_usage(signs=False), critical=True)
    made = made.add_extension(usage, critical=False).add_extension(x509.SubjectAlternativeName([x509.DNSName(service)]), critical=False)
    return made.sign(signer.signing, None).public_bytes(Encoding.PEM)


def _vouched(service: str, public: PublicKey, voucher: Ed25519PrivateKey) -> bytes:
    """Says to this process alone that a service has this key, and may make itself certificates."""
    made = _builder(_name(_issuer(service, public)), _name("known here"), public.signing, voucher.public_key(), *EVER)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).add_extension(_usage(signs=True), critical=True)
    return made.sign(voucher, None).public_bytes(Encoding.DER)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PublicKey, signer: Ed25519PublicKey, since: datetime, until: datetime
) -> x509.CertificateBuilder:  # fmt: skip
    built = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), since, until)
    built = built.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    return built.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)


def _usage(signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False, key_cert_sign=signs,
        crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _issuer(service: str, public: PublicKey) -> str:
    return f"{service} {public.id}"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    return context
