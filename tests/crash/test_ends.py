"""Every way to end leaves the right status, cause and reason; `tools/ends.py` prints the table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.crash.ending import End, Place, is_right, play
from tests.crash.ends import ENDS
from tests.servers.buckets import Server
from tests.servers.fixtures import moto

__all__ = ["moto"]

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="signals of POSIX, and deaths that the kernel tells at once"
)


def right(end: End, place: Place) -> None:
    try:
        found = play(end, place)
    except PermissionError as error:
        pytest.skip(f"NO CONTROL GROUP OF ITS OWN HERE: {error}")
    assert is_right(end, found), (found, end)


@pytest.mark.parametrize(
    "end", [pytest.param(end, id=end.name, marks=() if end.quick else pytest.mark.long) for end in ENDS]
)
def test_in_a_folder(tmp_path: Path, end: End) -> None:
    right(end, Place(tmp_path, str(tmp_path / "lab"), {}))
    (shown,) = (tmp_path / "lab").glob("projects/p/experiments/e/runs/*/run.json")
    assert json.loads(shown.read_text())["status"] == end.status, "whoever wrote the end let run.json show it"


@pytest.mark.long
@pytest.mark.parametrize("end", [pytest.param(end, id=end.name) for end in ENDS])
def test_on_s3(tmp_path: Path, end: End, moto: Server) -> None:
    right(end, Place(tmp_path, *moto.fresh().as_environment()))
