"""Provide the places where the record's tests keep their workspaces, and processes to run cases in."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import molexp as me
from tests.internals import writers_are_silent
from tests.on_s3 import later_values, repeats_calls
from tests.record.helpers import Child, Place, run_script
from tests.servers.fixtures import any_server, ceph, moto

__all__ = [
    "any_server",
    "ceph",
    "copy",
    "exp",
    "here",
    "interpreter",
    "lab",
    "lab_exp",
    "lab_run",
    "moto",
    "pair",
    "place",
    "run",
    "script",
    "silent",
    "source",
    "target",
    "ws",
]

HERE = Path(__file__).parent
PLACES = ("files", "memory without append", pytest.param("s3", marks=pytest.mark.s3))


def place_of(word: str, folder: Path) -> Place:
    if word == "files":
        return Place(str(folder / "lab"))
    return Place(f"memory://{folder.name}-{id(folder)}", {"append": word == "memory"})


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place for a workspace: on every storage that we bring."""
    return somewhere(request, request.param, tmp_path)


def somewhere(request: pytest.FixtureRequest, word: str, folder: Path) -> Place:
    """A place on the storage of that name."""
    if word != "s3":
        return place_of(word, folder)
    bucket = request.getfixturevalue("any_server").fresh()
    return Place(bucket.url, bucket.storage_options)


PAIRS = (
    ("files", "memory without append"),
    ("memory without append", "memory"),
    ("memory", "files"),
    *(pytest.param(pair, marks=pytest.mark.s3) for pair in (("files", "s3"), ("s3", "files"))),
)


@pytest.fixture(params=PAIRS, ids=" to ".join)
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Provide the places of two workspaces, of which one is copied to the other."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def source(request: pytest.FixtureRequest, pair: tuple[str, str], tmp_path: Path) -> Place:
    """A place from which a workspace is copied."""
    return somewhere(request, pair[0], tmp_path)


@pytest.fixture
def target(request: pytest.FixtureRequest, pair: tuple[str, str], tmp_path: Path) -> Place:
    """Provide the place that it is copied to."""
    folder = tmp_path / f"{tmp_path.name}-target"
    folder.mkdir()
    return somewhere(request, pair[1], folder)


@pytest.fixture
def copy(tmp_path: Path) -> Place:
    """The same, on files."""
    folder = tmp_path / "copy"
    folder.mkdir()
    return place_of("files", folder)


@pytest.fixture
def ws(place: Place) -> me.Workspace:
    return place.workspace()


@pytest.fixture
def exp(ws: me.Workspace) -> me.Experiment:
    return ws.Project("metals").Experiment("cu", params={"a": 3.6})


@pytest.fixture
def run(exp: me.Experiment) -> me.Run:
    return exp.Run({"b": 1}, id="one")


@pytest.fixture
def lab(tmp_path: Path) -> Place:
    """A place on a local file system, for what only files have."""
    return place_of("files", tmp_path)


@pytest.fixture
def lab_exp(lab: Place) -> me.Experiment:
    return lab.workspace().Project("metals").Experiment("cu", params={"a": 3.6})


@pytest.fixture
def lab_run(lab_exp: me.Experiment) -> me.Run:
    return lab_exp.Run({"b": 1}, id="one")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with nothing in it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def script(tmp_path: Path, lab: Place) -> Callable[..., Child]:
    """Run Python code in a process of its own, with ``LAB`` as the workspace's folder; to its end."""

    def script(code: str, **environ: str) -> Child:
        return run_script(tmp_path, lab, code, environ)

    return script


@pytest.fixture
def interpreter(tmp_path: Path, lab: Place) -> Callable[..., Child]:
    """Do the same where it matters how an interpreter starts or ends."""

    def interpreter(code: str, **environ: str) -> Child:
        return run_script(tmp_path, lab, code, environ, subprocess.run)

    return interpreter


@pytest.fixture
def silent(monkeypatch):
    """All writers are of machines that cannot be asked, and have been silent for as long as it takes."""
    writers_are_silent(monkeypatch)


CONTENTS = {
    "test_comparing.py": ("[s3]",),
    "test_damage.py": ("-torn]", "-end-missing]", "-experiment-missing]"),
    "test_junk.py": (),
    "test_limits.py": (),
    "test_malformed.py": ("[s3]",),
    "test_run_identity.py": ("[s3]",),
    "test_unreadable.py": ("[s3]",),
}
"""Modules that vary a value, or a document, which goes to every store alike; on S3 the gate plays what ends like these."""

STATES = (
    *("test_compaction.py", "test_damage.py", "test_faults.py", "test_fencing.py", "test_foreign_files.py"),
    *("test_freed_meanwhile.py", "test_freeing.py", "test_own_writes.py", "test_read_only.py"),
    *("test_sync_conflicts.py", "test_sync_follow.py", "test_sync_live.py"),
)
"""Modules that vary when something happens, or what the calls of a store meet; on S3 the gate plays them whole."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    on_s3 = [item for item in items if item.path.is_relative_to(HERE) and item.get_closest_marker("s3")]
    for item in on_s3:
        usual = CONTENTS.get(item.path.name)
        if repeats_calls(item) or (usual is not None and not item.name.endswith(usual)):
            item.add_marker(pytest.mark.long)
    for item in later_values(item for item in on_s3 if not item.get_closest_marker("long")):
        if item.path.name not in STATES:
            item.add_marker(pytest.mark.long)
