"""A lab with runs of all sorts, and clients that ask about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from tests.metals import make_lab
from tests.servers.fixtures import any_server, ceph, moto
from tests.web.browsing import chromium

__all__ = ["any_server", "ceph", "client", "lab", "moto"]

BASE = "http://127.0.0.1:8000"


@pytest.fixture
def lab(tmp_path: Path) -> me.Workspace:
    """Return a workspace of the test's own."""
    return make_lab(tmp_path / "lab")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start Debian's Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture
def client(lab: me.Workspace) -> Callable[..., Any]:
    """Make a client of an application for the lab; the arguments are those of `application`."""

    def client(**settings: Any) -> Any:
        return client_of(lab, **settings)

    return client


def client_of(lab: me.Workspace, *, base: str = BASE, **settings: Any) -> Any:
    """Make a client of an application for a workspace, which is called "lab"."""
    from starlette.testclient import TestClient

    from molexp_web import application

    app = application({"lab": lab}, **settings)
    return TestClient(app, base_url=base, raise_server_exceptions=False, follow_redirects=False)
