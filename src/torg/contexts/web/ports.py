"""What the shop's pages need around them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torg.contexts.catalog.contracts import CategoryNode
from torg.contexts.user.contracts import Tokens
from torg.kit.calls import Call
from torg.kit.deps import Deps
from torg.kit.http.form_tokens import FormTokens
from torg.kit.values import Language


class Pages(Protocol):
    """Templates and texts in the shop's languages."""

    def render(self, name: str, language: Language, values: Mapping[str, object]) -> str:
        """The page of a template; text is escaped wherever it comes from."""
        ...

    def text(self, key: str, language: Language) -> str:
        """A sentence by its key; empty where there is none."""
        ...


class Renewals(Protocol):
    """Buys new tokens for old, once: browsers send several requests with the same refresh token."""

    async def renew(self, refresh_token: str) -> Tokens:
        """Raises Unauthenticated when the token buys nothing any more."""
        ...


class Categories(Protocol):
    """The tree of categories, which pages show all the time and which seldom changes."""

    async def tree(self, language: Language) -> tuple[CategoryNode, ...]: ...

    async def pictures(self, language: Language) -> Mapping[str, str]:
        """A picture for each of the largest departments, by id: its most popular product's."""
        ...


@dataclass(frozen=True)
class Static:
    """A file of the shop's own look and behaviour, with its compressed form; its name holds its content's hash."""

    name: str
    media: str
    body: bytes
    gzipped: bytes


@dataclass(frozen=True)
class WebDeps(Deps):
    """`spare` asks for what a page can do without, `search` for what there is something else to show instead of: neither waits for long.
    `outside`: the name of a provider that people may sign in with; `secure`: cookies go over HTTPS alone. `describe` makes the API's and the events'
    descriptions, `new_token` what nobody can guess."""

    spare: Call
    search: Call
    pages: Pages
    renewals: Renewals
    categories: Categories
    statics: Mapping[str, Static]
    describe: Mapping[str, Callable[[], Awaitable[Mapping[str, object]]]]
    public_url: str
    outside: str
    secure: bool
    form_tokens: FormTokens
    new_token: Callable[[], str]
