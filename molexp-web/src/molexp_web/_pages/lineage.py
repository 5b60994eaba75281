"""Origins, and what came of them."""

from __future__ import annotations

from starlette.routing import Route

ROUTES: list[Route] = []
