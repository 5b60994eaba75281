"""Files of runs, and data."""

from __future__ import annotations

from starlette.routing import Route

ROUTES: list[Route] = []
