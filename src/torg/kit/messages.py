"""Messages: the frozen structs that are HTTP bodies, calls, saga steps, bus payloads and test inputs all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import Any, ClassVar, ForwardRef, Generic, TypeVar, get_args

import msgspec

from torg.kit.errors import FieldError

R = TypeVar("R")
M = TypeVar("M", bound="Message")
Rule = Callable[[Any, datetime], str | None]
"""Looks at one field's value and the present moment; says in a sentence what would be right, or None."""


class Message(msgspec.Struct, frozen=True):
    """Common ground of commands, queries and events. A command that is `IDEMPOTENT` may be sent again where nobody knows whether it has arrived.
    Who is asked one that `WAITS` mostly waits for something to happen: it counts for no work where a process is chosen."""

    NAME: ClassVar[str] = ""
    VERSION: ClassVar[int] = 1
    RULES: ClassVar[dict[str, Rule]] = {}
    IDEMPOTENT: ClassVar[bool] = False
    WAITS: ClassVar[bool] = False


class Command(Message, Generic[R], frozen=True):
    """Asks for a change; answered with an R."""


class Query(Message, Generic[R], frozen=True):
    """Asks for an R and changes nothing."""


class Event(Message, frozen=True):
    """Says what has happened."""


class Undecoded(Message, frozen=True):
    """A message as it is kept in a log: of a newer version, that no contract here has, or on its way to those who know it better. Readers pass it by."""

    name: str
    schema: int
    data: str


class Meta(msgspec.Struct, frozen=True, omit_defaults=True):
    """What travels beside a message: its cause, who acted, and the trace it belongs to (W3C traceparent)."""

    cause: str = ""
    actor: str = ""
    request: str = ""
    trace: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """A message as it stands in a context's log. `version` counts within the stream from 1 without holes; `position` grows within the log."""

    position: int
    id: str
    context: str
    stream: str
    version: int
    message: Message
    meta: Meta
    at: datetime

    def told(self) -> tuple[str, int, bytes]:
        """Name, schema version and JSON, as another process is told them."""
        message = self.message
        if isinstance(message, Undecoded):
            return message.name, message.schema, message.data.encode()
        return message.NAME, message.VERSION, encode(message)


def message(name: str, version: int = 1) -> Callable[[type[M]], type[M]]:
    """Names a message on the wire, as `subject.words`; the name is what stays when the class moves."""

    def named(cls: type[M]) -> type[M]:
        cls.NAME, cls.VERSION = name, version
        return cls

    return named


@cache
def reply_type(kind: type[Message]) -> Any:
    """The R of a Command[R] or Query[R]."""
    for base in getattr(kind, "__orig_bases__", ()):
        if (arguments := get_args(base)) and not isinstance(arguments[0], ForwardRef):
            return arguments[0]
    raise TypeError(f"{kind.__name__} does not say what answers it: derive it from Command[R] or Query[R], with R defined above it")


@cache
def context_of(kind: type[Message]) -> str:
    """The context that handles a command or query, or that logs an event: the one whose contracts define it."""
    package, contracts, _ = kind.__module__.partition(".contracts")
    return package.rpartition(".")[2] if contracts else kind.NAME.partition(".")[0]


def defined_in(kind: type[Message], contracts: ModuleType) -> bool:
    """Whether these contracts, or a part of them, define the message; else they have borrowed it."""
    return f"{kind.__module__}.".startswith(f"{contracts.__name__}.")


def broken_rules(fields: Iterable[tuple[str, object]], rules: dict[str, Rule], now: datetime) -> list[FieldError]:
    """Every field whose rule has something to say about it."""
    said = ((name, rules[name](value, now)) for name, value in fields if name in rules)
    return [FieldError(name, "invalid", sentence) for name, sentence in said if sentence]


class Registry:
    """All messages of the contracts that a process knows, by name; turns them into JSON and back."""

    def __init__(self, contracts: Iterable[ModuleType]) -> None:
        self._types: dict[str, type[Message]] = {}
        self._decoders: dict[str, msgspec.json.Decoder[Message]] = {}
        for module in contracts:
            for kind in vars(module).values():
                if isinstance(kind, type) and issubclass(kind, Message) and kind.NAME and defined_in(kind, module):
                    self._add(kind)

    def _add(self, kind: type[Message]) -> None:
        if self._types.setdefault(kind.NAME, kind) is not kind:
            raise ValueError(f"two messages are named {kind.NAME!r}: {kind!r} and {self._types[kind.NAME]!r}")
        self._decoders[kind.NAME] = msgspec.json.Decoder(kind)

    def types(self) -> Iterable[type[Message]]:
        """All of them, in the order of the contracts."""
        return self._types.values()

    def find(self, name: str) -> type[Message] | None:
        """The message of that name, if a contract here has it."""
        return self._types.get(name)

    def decode(self, name: str, data: bytes | str) -> Message:
        """Raises KeyError for a name that no contract here has, msgspec.ValidationError for data of another shape."""
        return self._decoders[name].decode(data)


encode: Callable[[object], bytes] = msgspec.json.Encoder().encode
