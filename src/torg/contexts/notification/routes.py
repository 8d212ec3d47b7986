"""Notifications over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from torg.contexts.notification import contracts as c
from torg.contexts.notification.handlers import shown
from torg.contexts.notification.ports import Entry, NotificationDeps
from torg.kit.http import Request, Response, Route, ServerEvent, event_stream, get, post, put, signed_in
from torg.kit.messages import Envelope, encode
from torg.kit.values import Language


def routes(deps: NotificationDeps) -> Sequence[Route]:
    async def stream(request: Request) -> Response:
        """New entries of the reader's feed; resumes behind Last-Event-ID, and without one begins with the next entry."""
        user_id, seen = signed_in(request).user_id, request.header("last-event-id")
        after = int(seen) if seen.isdecimal() and len(seen) < 16 else await deps.store.log.last_version(user_id)
        return event_stream(_entries(user_id, after, request.language(), deps))

    return (
        get("/notifications", c.ListNotifications, right="notifications:read", summary="What you were told, newest first"),
        post("/notifications/read-all", c.MarkAllRead, right="notifications:write", summary="Mark all as read"),
        post("/notifications/{notification_id}/read", c.MarkRead, right="notifications:write", summary="Mark one as read"),
        get("/notifications/stream", endpoint=stream, right="notifications:read", media="text/event-stream", summary="What you are told, live (SSE)"),
        get("/notifications/preferences", c.GetPreferences, right="notifications:read", summary="What you want to be told, and where"),
        put("/notifications/preferences", c.ChangePreferences, right="notifications:write", summary="Choose what you want to be told, and where"),
    )


async def _entries(user_id: str, after: int, language: Language, deps: NotificationDeps) -> AsyncIterator[ServerEvent]:
    async for row in deps.store.log.follow(user_id, after):
        entry = _entry(row)
        if entry:
            yield ServerEvent("notification", encode(shown(entry, language)), str(row.version))


def _entry(row: Envelope) -> Entry | None:
    told = row.message
    if not isinstance(told, c.NotificationAdded):
        return None
    return Entry(id=told.notification_id, user_id=told.user_id, kind=told.kind, subject="", order_id=told.order_id, facts=told.facts, created_at=row.at)
