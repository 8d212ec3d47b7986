"""`torg redrive`: has a running shop handle anew what its consumers gave up on."""

from __future__ import annotations

import sys

from torg.recovery.asking import USUAL, Asked, answer


def redrive(consumer: str = "", *, name: str = "", asked: Asked = USUAL) -> None:
    """Have the running shop handle all dead letters of a consumer anew, or those of one name: after an outage has ended, or a defect was mended.

    Parameters
    ----------
    consumer
        Whose they are, as /admin/dead-letters names it: notification
    name
        Just the messages of this name: order.confirmed. Without a consumer, everybody's.
    """
    if not (consumer or name):
        sys.exit("torg: whose dead letters? Name a consumer, messages by --name, or both; /admin/dead-letters shows what there is")
    told = answer("/admin/dead-letters/redrive", asked, {"consumer": consumer, "name": name})
    if not told["redriven"]:
        whose = " ".join(word for word in (f"of {consumer}" if consumer else "", f"by the name {name}" if name else "") if word)
        print(f"nothing is handled anew: there is no dead letter {whose}; /admin/dead-letters shows what there is")  # noqa: T201 it is a command
        return
    print(f"{told['redriven']:,} messages will be handled anew")  # noqa: T201 it is a command
