"""The command line for the tests of plugins, as its own tests have it."""

from __future__ import annotations

from tests.cli.conftest import here, molexp

__all__ = ["here", "molexp"]
