"""Fixtures of the tests of scientific libraries."""

from __future__ import annotations

from tests.servers.fixtures import moto

__all__ = ["moto"]
