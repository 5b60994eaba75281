"""Register the command ``molexp mcp``, which is imported when it is called."""

from __future__ import annotations

from molexp import hookimpl
from molexp.contracts import Declared


@hookimpl
def molexp_register_commands() -> list[Declared]:
    """Declare the command."""
    return [Declared("mcp", "molexp_mcp.command:mcp")]
