"""A lab with runs of all sorts, and clients that ask about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import molexp as me
from tests.servers.fixtures import any_server, ceph, moto

__all__ = ["any_server", "ceph", "client", "lab", "moto"]

BASE = "http://127.0.0.1:8000"


def make_lab(path: Path) -> me.Workspace:
    """Make a workspace with two experiments: seven runs, one of which failed, with metrics, logs, files and notes."""
    ws = me.Workspace(path)
    exp = ws.Project("metals").Experiment("cu", params={"xc": "PBE"})
    for number in range(5):
        with exp.Run({"a": 3.5 + number / 10}, id=f"cu-{number}").start() as ctx:
            for step in range(100):
                ctx.metrics.log(step=step, loss=(number + 1) / (step + 1))
            ctx.set_result("energy", 0.5 - number)
            ctx.log("relax").append(f"volume {number}")
            ctx.artifact.save("volumes.json", [*range(number)])
    with pytest.raises(ZeroDivisionError), exp.Run({"a": 3.9, "spin": True}, id="cu-bad").start() as ctx:
        ctx.log("relax").append("about to divide")
        1 / 0  # noqa: B018 - it fails
    ws.run("metals/cu/cu-2").annotate(tags=["good"], note="looks converged")
    with ws.Project("salts").Experiment("nacl").Run(id="one").start():
        pass
    return ws


@pytest.fixture
def lab(tmp_path: Path) -> me.Workspace:
    """Return a workspace of the test's own."""
    return make_lab(tmp_path / "lab")


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
