"""``python -m molexp_cli`` is ``molexp``."""

from __future__ import annotations

from molexp_cli._main import program

program()
