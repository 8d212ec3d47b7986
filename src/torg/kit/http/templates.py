"""Templates of pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from torg.kit.http.form_tokens import WithTokens


def environment_of(folder: Path, filters: Mapping[str, Callable[..., object]]) -> Environment:
    """A folder's templates: what they show is escaped, names that there are not are refused, and each form has its token."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        cache_size=-1,
        extensions=[WithTokens],
    )
    environment.filters.update(filters)
    return environment
