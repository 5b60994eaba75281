"""Register the command ``molexp ui``, which is imported when it is called."""

from __future__ import annotations

from molexp import hookimpl
from molexp.contracts import Declared


@hookimpl
def molexp_register_commands() -> list[Declared]:
    """Declare the command."""
    return [Declared("ui", "molexp_web._command:ui")]
