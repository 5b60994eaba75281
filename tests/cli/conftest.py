"""A workspace for the command line, and the command line for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import molexp as me
from molexp_cli._main import run
from tests.cli.helpers import Done


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with nothing in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def lab(here: Path) -> me.Workspace:
    """A workspace in the current folder: ``./lab``."""
    return me.Workspace("./lab").materialize()


@pytest.fixture
def molexp(here: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Done]:
    """Run a command line in this process."""

    def molexp(*arguments: str) -> Done:
        capfdbinary.readouterr()
        code = run(arguments)
        out, err = capfdbinary.readouterr()
        return Done(code, out.decode(), err.decode())

    return molexp


@pytest.fixture
def in_lab(lab: me.Workspace, monkeypatch: pytest.MonkeyPatch) -> me.Workspace:
    """The workspace ``./lab``, which the environment names."""
    monkeypatch.setenv("MOLEXP_WORKSPACE", str(Path("lab").absolute()))
    return lab


@pytest.fixture
def finished(in_lab: me.Workspace) -> me.Run:
    """A run that says something about everything."""
    in_lab.Project("metals").Experiment("ag").Run({"a": 4.1}, id="silver")
    made = in_lab.Project("metals").Experiment("cu", params={"a": 3.6}).Run({"cell": {"n": 2}}, id="copper")
    with pytest.raises(ZeroDivisionError), made.start() as ctx:
        ctx.set_result("energy", -3.72)
        ctx.set_result("gap", float("nan"))
        ctx.artifact.save("volumes.json", [1, 2])
        ctx.log("relax").append("step 1")
        1 / 0  # noqa: B018
    made.annotate(tags=["odd"], note="look again")
    return made
