"""Faults that can be switched on, one by one, to see what a merchant makes of them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from torg.kit.messages import Command, message

Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


@message("acquirer.set_faults")
class Faults(Command[None], frozen=True, kw_only=True):
    """All faults there are; those with a count happen to the next so many. `late_seconds` is how long the bank works on a late card."""

    lost_replies: Count = 0
    wrong_signatures: Count = 0
    lost_webhooks: Count = 0
    webhook_before_reply: bool = False
    webhooks_twice: bool = False
    webhook_delay: Seconds = 0
    slow_replies: Seconds = 0
    late_seconds: Seconds = 5


class FaultPanel:
    """The faults that are on now."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.now = faults or Faults()

    def strikes(self, name: str) -> bool:
        """Whether a counted fault happens to this one."""
        left: int = getattr(self.now, name)
        if left:
            self.now = msgspec.structs.replace(self.now, **{name: left - 1})
        return left > 0
