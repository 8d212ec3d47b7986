"""How a call looks on its way between processes: POST /rpc/<message name>, JSON in and out, everything else in headers.

JSON and not MessagePack: replies hold pieces of logs as the JSON they were written in (msgspec.Raw), and of a call's cost the encoding is the smallest part."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

import msgspec

from torg.kit import errors
from torg.kit.chain import Link
from torg.kit.errors import DomainError, FieldError, TooManyRequests, Unavailable
from torg.kit.messages import Meta
from torg.kit.scrubbing import clean

PREFIX: Final = "/rpc/"
IDENTITY, DEPTH, WITHIN, META, SIGNATURE = b"torg-identity", b"torg-depth", b"torg-within", b"torg-meta", b"torg-signature"
DEFECT = "Defect"
KINDS: Mapping[str, type[DomainError]] = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, DomainError)}


class Defect(RuntimeError):
    """The other context has failed at a message through a fault of its own; its log has the whole story."""


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457) from which the very exception is made again: `kind` is its class."""

    title: str
    status: int
    detail: str
    code: str
    kind: str
    errors: tuple[FieldError, ...] = ()
    retry_after: int = 0


UNSIGNED = "rpc.unsigned"
"""The code of a call whose signature is not believed."""
_refusal = msgspec.json.Decoder(Refusal).decode
_meta = msgspec.json.Decoder(Meta).decode


def refuse(error: DomainError | Unavailable) -> Refusal:
    """What goes over the wire of an exception: no secret and no card number."""
    retry_after, detail = getattr(error, "retry_after", 0), clean(error.detail)
    if isinstance(error, Unavailable):
        return Refusal("Not available right now", 503, detail, "service.unavailable", "Unavailable", retry_after=retry_after)
    errors = tuple(FieldError(clean(one.field), one.code, clean(one.detail)) for one in error.errors)
    return Refusal(error.title, error.status, detail, error.code, type(error).__name__, errors, retry_after)


def raised(document: bytes) -> Exception:
    """The exception of a problem document; Unavailable for any other, such as that of a proxy in between."""
    try:
        given = _refusal(document)
    except msgspec.DecodeError:
        return Unavailable(f"it answers something else: {document[:200].decode('utf-8', 'replace')}")
    if given.code == UNSIGNED:  # the two processes don't understand each other: no fault of whoever asked
        return Unavailable(given.detail)
    if given.kind == "Unavailable":
        return Unavailable(given.detail, given.retry_after or 1)
    if given.kind == DEFECT:
        return Defect(given.detail)
    kind = KINDS.get(given.kind, DomainError)
    made = TooManyRequests(given.code, given.detail, given.retry_after) if kind is TooManyRequests else kind(given.code, given.detail, given.errors)
    made.status, made.title = given.status, given.title
    return made


def signed_parts(path: bytes, link: Link, within: int, meta: bytes, body: bytes) -> tuple[bytes, ...]:
    """All that a call means, besides who asks: that is whose key signs. The body stands last, as it may hold any byte."""
    return b"POST", path, b"%d" % link.depth, b"%d" % within, meta, body


def request(address: str, path: bytes, link: Link, within: int, meta: bytes, body: bytes, identity: bytes, signature: bytes, trace: str) -> bytes:
    """`within`: milliseconds that the answer is of use."""
    head = b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (path, address.encode(), len(body))
    if trace:
        head += b"traceparent: %b\r\n" % trace.encode()
    return head + b"torg-identity: %b\r\ntorg-depth: %d\r\ntorg-within: %d\r\ntorg-meta: %b\r\ntorg-signature: %b\r\n\r\n%b" % (
        identity, link.depth, within, meta, signature, body,
    )  # fmt: skip


def read_link(headers: Mapping[bytes, bytes], caller: str) -> tuple[Link, int, bytes]:
    """Where a call stands in its chain, for how many milliseconds it is of use, and its Meta as it came. Raises ValueError."""
    within = int(headers.get(WITHIN, b"0"))
    link = Link(int(headers.get(DEPTH, b"0")), caller, time.monotonic() + within / 1000)
    return link, within, headers.get(META, b"{}")


def read_meta(given: bytes) -> Meta:
    """Raises msgspec.DecodeError."""
    return _meta(given)
