"""Run ``molexp`` as ``python -m molexp_cli``."""

from __future__ import annotations

from molexp_cli._main import program

program()
