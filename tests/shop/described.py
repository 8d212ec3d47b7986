"""Whether what a shop answered is what its description promises: status, media type, and the body's schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec

from torg import compose
from torg.kit.http import Route
from torg.kit.testing.http import Answer

KEPT = 3  # answers of each route and status: the first ones may have empty lists


class Answers:
    """What was answered so far, a few of each kind. The description is asked for once everything is over."""

    def __init__(self, app: compose.Running) -> None:
        self._app = app
        self._kept: dict[tuple[str, str, int], list[Answer]] = {}

    def note(self, method: str, target: str, answer: Answer) -> None:
        if route := self._route(method, target.partition("?")[0]):
            kept = self._kept.setdefault((method.lower(), route.path, answer.status), [])
            if len(kept) < KEPT:
                kept.append(answer)

    def undescribed(self, description: dict[str, Any]) -> list[str]:
        """A sentence for each answer that breaks its promise."""
        return [
            fault
            for (method, path, status), answers in self._kept.items()
            for answer in answers
            for fault in _faults(description, method, path, status, answer)
        ]

    def seen(self) -> set[tuple[str, str]]:
        """Methods and paths that were answered with success."""
        return {(method.upper(), path) for method, path, status in self._kept if status < 300}

    def _route(self, method: str, path: str) -> Route | None:
        found = self._app.http._router.find(path)
        served = found and found[0].get(method)
        route: Route | None = served[0].route if served else None
        return route if route and route.public else None


def _faults(description: dict[str, Any], method: str, path: str, status: int, answer: Answer) -> Iterator[str]:
    named = f"{method.upper()} {path} {status}"
    promised = description["paths"][path][method]["responses"].get(str(status))
    if promised is None:
        yield f"{named}: this status is not described"
        return
    media = answer.headers.get("content-type", "").partition(";")[0]
    content = promised.get("content", {})
    if answer.body and media not in content:
        yield f"{named}: {media} is not described, but {', '.join(content) or 'no body'}"
    elif answer.body and media.endswith("json"):
        schema = {**content[media]["schema"], "components": description["components"]}
        for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(msgspec.json.decode(answer.body)):
            yield f"{named}: {error.message} at {'/'.join(map(str, error.instance_path))}"
