"""Forms that pages post: their fields, the key by which this server knows its own, and what became of them."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse

from molexp_web._server.bodies import body_of

KEY = "key"
"""The field of every form that a page of another site cannot know."""

DONE = "done"
"""The name in an address under which a page says what became of a form."""

_KEPT = 100  # outcomes
_FIELDS = 20_000  # of a form
_BACK = re.compile(r"/(?![/\\])[^\x00-\x1f\\]*")  # a path of this server, and no other host's


class Outcome(NamedTuple):
    """Tell what became of a form.

    Attributes:
        words: a sentence on the changes.
        failed: the reasons why something was not changed.
        restore: the paths of runs that a button brings back.
        sent: the fields of a form that started something: whoever sends them twice means it once.
    """

    words: str
    failed: Sequence[str] = ()
    restore: Sequence[str] = ()
    sent: Sequence[object] = ()


class Outcomes:
    """Keep what became of the last forms, by names that nobody guesses, until many others were sent."""

    def __init__(self) -> None:
        self._kept: dict[str, Outcome] = {}
        self._lock = Lock()

    def keep(self, outcome: Outcome) -> str:
        """Keep one, and return its name."""
        name = secrets.token_urlsafe(9)
        with self._lock:
            while len(self._kept) >= _KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[name] = outcome
        return name

    @property
    def name(self) -> str:
        """The name of the last one; "" if there is none."""
        with self._lock:
            return next(reversed(self._kept), "")

    @property
    def newest(self) -> Outcome | None:
        """The last one."""
        with self._lock:
            return next(reversed(self._kept.values()), None)

    def get(self, name: str) -> Outcome | None:
        """Return the one of a name, as long as it is kept."""
        return self._kept.get(name)


def key_of(request: Request) -> str:
    """Return the key of this server's forms. It follows from the token, but nobody learns the token from it."""
    return hmac.new(str(request.app.state.token).encode(), b"forms of molexp-web", "sha256").hexdigest()[:32]


async def fields_of(request: Request) -> ImmutableMultiDict[str, str]:
    """Return the fields of a form that a page of this server sent.

    Raises:
        HTTPException: it is no form, it is too large, or no page of this server has it.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "Forms of pages are sent here. A program sends JSON to /api/v1.")
    text = (await body_of(request)).decode("utf-8", "replace")
    try:
        fields = ImmutableMultiDict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError:
        raise HTTPException(413, f"A form has at most {_FIELDS} fields.") from None
    if not hmac.compare_digest(fields.get(KEY, "").encode("utf-8", "replace"), key_of(request).encode()):
        raise HTTPException(
            403, "No page of this server has sent this form. Open the page again, and send it from there."
        )
    return fields


def is_local(place: str) -> bool:
    """Tell whether an address leads to a page of this server, as far as a browser can tell."""
    return _BACK.fullmatch(place) is not None


def leading_to(request: Request, place: str, outcome: Outcome) -> RedirectResponse:
    """Return a response that leads to a page, which then says what became of the form."""
    parts = urlsplit(place)
    pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != DONE]
    query = urlencode([*pairs, (DONE, request.app.state.outcomes.keep(outcome))])
    return RedirectResponse(f"{parts.path}?{query}", 303)
