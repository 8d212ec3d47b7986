"""`torg audit`: whether the audit trail is as it was filed."""

from __future__ import annotations

import sys

from cyclopts import App
from rich.console import Console

from torg.recovery.asking import USUAL, Asked, answer

app = App(name="audit", help="Look at the audit trail of a running shop.")


@app.command
def verify(*, head: str = "", asked: Asked = USUAL) -> None:
    """Have the running shop read its whole audit trail. Ends with 1 where lines were changed, put in or taken out.

    Parameters
    ----------
    head
        A digest that was printed earlier and kept elsewhere: the trail must still have it. So not even who knows the shop's secret can have written it anew.
    """
    told, console = answer("/admin/audit/verify", asked, {"kept": head}), Console()
    for fault in told["faults"]:
        console.print(f"  {fault}", highlight=False, soft_wrap=True)
    if told["holds"]:
        console.print(
            f"{told['entries']} lines are as they were filed. The last one's digest, to be kept elsewhere: {told['head'] or 'none yet'}",
            highlight=False,
            soft_wrap=True,
        )
    sys.exit(0 if told["holds"] else 1)
