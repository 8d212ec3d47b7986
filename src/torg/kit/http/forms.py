"""Forms of pages: from the texts that a browser sends to a message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar, get_type_hints

import msgspec

from torg.kit.errors import FieldError, Invalid
from torg.kit.messages import Message, broken_rules

M = TypeVar("M", bound=Message)


def read_form(kind: type[M], form: Mapping[str, str], now: datetime, **given: Any) -> M:
    """The message that a form stands for, with what is `given` besides; a field left empty is not sent. Raises Invalid that names every bad field."""
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = dict(given)
    faults: list[FieldError] = []
    for info in msgspec.structs.fields(kind):
        typed = form.get(info.name, "").strip()
        if info.name in given:
            continue
        if not typed:
            faults += [FieldError(info.name, "missing", "this field is required")] if info.required else []
            continue
        try:
            values[info.name] = msgspec.convert(typed, hints[info.name], strict=False)
        except msgspec.ValidationError as error:
            faults.append(FieldError(info.name, "invalid", str(error)))
    faults += broken_rules(values.items(), kind.RULES, now)
    if faults:
        raise Invalid.fields(*faults)
    return kind(**values)
