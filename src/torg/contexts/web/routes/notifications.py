"""What a member was told, and what they want to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from torg.contexts.notification.contracts import (
    ChangePreferences,
    Channel,
    GetPreferences,
    Kind,
    ListNotifications,
    MarkAllRead,
    MarkRead,
    Preference,
)  # fmt: skip
from torg.contexts.web.model import safe_path
from torg.contexts.web.routes.links import link
from torg.contexts.web.routes.visit import AWAY, Visit
from torg.kit.http import Response


async def notifications(visit: Visit) -> Response:
    cursor = visit.request.query().get("cursor", "")
    told = visit.ask_for_extra(ListNotifications(reader=visit.member, language=visit.language, cursor=cursor))
    wanted = visit.ask_for_extra(GetPreferences(visit.member))
    feed, preferences = await asyncio.gather(told, wanted)
    more = link("/notifications", cursor=feed.next_cursor) if feed and feed.next_cursor else ""
    return await visit.page("notifications.html", 200 if feed else AWAY, feed=feed, more=more, wishes=_by_kind(preferences.items if preferences else ()))


async def read(visit: Visit) -> Response:
    """Marks it as read and goes on to what it is about."""
    form = await visit.form()
    await visit.ask(MarkRead(visit.request.path_values["notification_id"], visit.member))
    return visit.go(safe_path(form.get("on", "/notifications")))


async def read_all(visit: Visit) -> Response:
    await visit.ask(MarkAllRead(visit.member))
    return visit.go("/notifications")


async def change_preferences(visit: Visit) -> Response:
    """A box that is not ticked is not sent: what can be changed and isn't there is switched off."""
    form, known = await visit.form(), (await visit.ask(GetPreferences(visit.member))).items
    wanted = [Preference(kind=one.kind, channel=one.channel, enabled=f"{one.kind}/{one.channel}" in form) for one in known if one.changeable]
    await visit.ask(ChangePreferences(visit.member, tuple(wanted)))
    return visit.go("/notifications#preferences", "preferences_saved")


def _by_kind(wishes: Sequence[Preference]) -> Mapping[Kind, Mapping[Channel, Preference]]:
    kinds: dict[Kind, dict[Channel, Preference]] = {}
    for one in wishes:
        kinds.setdefault(one.kind, {})[one.channel] = one
    return kinds
