"""Pages in the browser, and an HTTP API, that answer from the record of workspaces.

`molexp ui` serves them. For programs, `molexp_web.application` makes the application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molexp_web._server.application import application

__all__ = ["application"]


def __getattr__(name: str) -> Any:
    if name == "application":
        from molexp_web._server.application import application

        return application
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
