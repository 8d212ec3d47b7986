"""The two shapes of failure: a rule said no (`DomainError`), or something needed is away (`Unavailable`)."""

from __future__ import annotations

import msgspec


class FieldError(msgspec.Struct, frozen=True):
    """One bad field of a body or query: its name, a stable code, and a sentence that says what would be right."""

    field: str
    code: str
    detail: str


class DomainError(Exception):
    """A rule of the shop was not met. `code` is stable and public (`stock.not_enough`); `status` is its HTTP status."""

    status = 409
    title = "Conflict with the current state"

    def __init__(self, code: str, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.code, self.detail, self.errors = code, detail, errors


class Invalid(DomainError):
    """A well-formed document that breaks a rule."""

    status, title = 422, "Some of it is not valid"

    @classmethod
    def fields(cls, *errors: FieldError) -> Invalid:
        """The refusal that names each of these."""
        return cls("request.invalid", "; ".join(f"{e.field}: {e.detail}" for e in errors), errors)


class Malformed(DomainError):
    """Cannot be parsed at all."""

    status, title = 400, "Cannot be read"


class Unauthenticated(DomainError):
    """`challenge` says how to (WWW-Authenticate, RFC 9110)."""

    status, title = 401, "Sign-in needed"
    challenge = "Bearer"


class Forbidden(DomainError):
    status, title = 403, "Not allowed"


class NotFound(DomainError):
    """It does not exist, or belongs to somebody else, which is the same to the caller."""

    status, title = 404, "Not found"


class PreconditionFailed(DomainError):
    status, title = 412, "It has changed meanwhile"


class TooLarge(DomainError):
    status, title = 413, "Too large"


class UnsupportedMediaType(DomainError):
    status, title = 415, "Media type not supported"


class TooManyRequests(DomainError):
    """Asked too often. `retry_after` is in whole seconds."""

    status, title = 429, "Too many requests"

    def __init__(self, code: str, detail: str, retry_after: int = 1) -> None:
        super().__init__(code, detail)
        self.retry_after = retry_after


class ConcurrentChange(DomainError):
    """Somebody else appended to the stream first; read it again and decide anew."""

    title = "Changed by somebody else at the same time"


class Unavailable(Exception):
    """Something this needs does not answer now. `retry_after` is in whole seconds."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.detail, self.retry_after = detail, retry_after


class Overloaded(Unavailable):
    """This has more to do than it can: come back in a moment. Metrics tell of it; a log line for each would be one more thing to do."""


class Interleaved(Exception):
    """A transaction and another one could not both have been alone: nothing of it happened. Whoever dispatched the message has it handled anew."""


class Occupied(Interleaved):
    """A row with the same key was there first; what the transaction did before is not lost with it, where a savepoint holds it."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem document."""

    title: str
    status: int
    detail: str
    code: str
    type: str = "about:blank"
    instance: str = ""
    errors: tuple[FieldError, ...] = ()
