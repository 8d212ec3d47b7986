"""What the context behind the wire can be asked."""

from __future__ import annotations

from typing import Annotated

import msgspec

from torg.kit.messages import Command, Query, message


class Cup(msgspec.Struct, frozen=True):
    of: str
    size: Annotated[int, msgspec.Meta(ge=1)] = 1
    marks: msgspec.Raw = msgspec.Raw(b"null")


@message("kitchen.brew")
class Brew(Query[Cup], frozen=True):
    of: str


@message("kitchen.look_out")
class LookOut(Query[None], frozen=True):
    WAITS = True


@message("kitchen.smash")
class Smash(Command[None], frozen=True):
    of: str


@message("kitchen.wipe")
class Wipe(Command[None], frozen=True):
    IDEMPOTENT = True
