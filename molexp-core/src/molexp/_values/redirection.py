"""Another workspace in the place of that of a script, while the script is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from molexp._values.paths import spelled
from molexp._values.patterns import late
from molexp._values.process_id import HERE
from molexp.errors import ScriptError

Url = TypeVar("Url")

_SCHEME = late(r"[a-zA-Z][a-zA-Z0-9+.-]+:")  # one letter is a Windows drive


class SeveralWorkspacesError(ScriptError):
    """A script that writes to several workspaces was to get another one in the place of its own."""


class Redirection:
    """The workspace that a script gets, and the one that it has asked for.

    Attributes:
        script: the script.
        url: the workspace that it gets.
        replaced: the workspace that it has asked for; "" so far.
    """

    def __init__(self, script: str, url: str) -> None:
        self.script = script
        self.url = _absolute(url)
        self.replaced = ""

    def of(self, asked: str) -> str:
        """Return the workspace to open where `asked` is asked for.

        Raises:
            ScriptError: the script has asked for another one before.
        """
        asked = _absolute(asked)
        if self.replaced and asked != self.replaced:
            raise SeveralWorkspacesError(
                self.script,
                f"it writes to two workspaces, {self.replaced!r} and {asked!r}, and only one can be replaced: leave out -w",
            )
        self.replaced = asked
        return self.url


_current: ContextVar[Redirection | None] = ContextVar("molexp_redirection", default=None)


def redirected(url: Url, storage_options: Mapping[str, Any] | None) -> tuple[Url | str, Mapping[str, Any] | None]:
    """Return the workspace to open in the place of this one, and its storage options: without any, if it is another one."""
    current, text = _current.get(), spelled(url)
    if current is None or not isinstance(text, str) or not text:
        return url, storage_options
    found = current.of(text)
    return (url, storage_options) if found == _absolute(text) else (found, None)


@contextmanager
def redirecting(script: str, url: str | None) -> Iterator[Redirection | None]:
    """Let the script have this workspace in the place of its own, within the block; None changes nothing."""
    if url is None:
        yield None
        return
    token = _current.set(found := Redirection(script, url))
    try:
        yield found
    finally:
        _current.reset(token)


@contextmanager
def as_the_parent(script: str | None, url: str | None) -> Iterator[None]:
    """Do the same in a worker, whose call may import the script."""
    HERE.instead = url
    with redirecting(script or "", url):
        yield


def _absolute(url: str) -> str:
    if url.startswith("file:///"):
        from urllib.parse import unquote_to_bytes

        return os.path.realpath(os.fsdecode(unquote_to_bytes(url.removeprefix("file://"))))
    return url.rstrip("/") if _SCHEME.match(url) else os.path.realpath(os.path.expanduser(url))
