"""What every form of a page carries, so that no page of another site can send it: an HMAC over whose page it was made for (OWASP's signed double submit).

A member's is made from their session. A guest's, where it leads to a session, from a cookie that was set with the page. Pages that are the same for
every guest, which the edge keeps, carry nobody's token: it is good for what a guest without a name may do, and for nothing else."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from jinja2.ext import Extension

from torg.kit.errors import Forbidden
from torg.kit.http.request import Request

FIELD: Final = "form_token"
COOKIE: Final = "form"
_TAG: Final = re.compile(r"""<form\b(?:\{\{.*?\}\}|\{%.*?%\}|[^>{])*>""", re.DOTALL)
"""A form's own tag, which may hold {{ … }} with any sign."""


class FormTokens:
    """Makes them with the first of the shop's secrets ("new,old") and believes those of all."""

    def __init__(self, secret: str) -> None:
        self._keys = [hashlib.sha256(f"torg.form_tokens/{part}".encode()).digest() for part in secret.split(",")]

    def make(self, request: Request) -> str:
        return self._made(self._keys[0], _whose(request))

    def check(self, request: Request, given: str, leads_in: bool = False) -> None:
        """`leads_in`: the form opens a session, so a guest's must be of a page that was made for this browser. Raises Forbidden `request.form_token`."""
        whose = [_whose(request)] if request.identity or leads_in else [_whose(request), ""]
        nobody = leads_in and not whose[0]
        if nobody or not any(hmac.compare_digest(given.encode(), self._made(key, one).encode()) for key in self._keys for one in whose):
            raise Forbidden("request.form_token", "this form is of another time: you have signed in or out since. Open its page anew and send it again")

    def _made(self, key: bytes, whose: str) -> str:
        return hmac.new(key, whose.encode(), hashlib.sha256).hexdigest()


def _whose(request: Request) -> str:
    if request.identity:
        return f"session {request.identity.session_id}"
    kept = request.cookie(COOKIE)
    return f"guest {kept}" if kept else ""


class WithTokens(Extension):
    """Puts the token into every form of a template, so that none can be forgotten. The template's values name it `form_token`."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return _TAG.sub(lambda tag: tag[0] + _INPUT if 'method="post"' in tag[0] else tag[0], source)


_INPUT: Final = f'<input type="hidden" name="{FIELD}" value="{{{{ {FIELD} }}}}">'
