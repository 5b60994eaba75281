"""MolExp where names of Linux are missing, and on Windows, where a file that somebody reads is neither replaced nor removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.platforms.track_a_run import __file__ as program
from tests.warm import DEADLINE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a disguise of Linux")


@pytest.fixture(scope="module", params=("macos", "windows"))
def system(request):
    return request.param


@pytest.fixture(scope="module")
def found(system, tmp_path_factory):
    folder = tmp_path_factory.mktemp(system)
    # An interpreter of its own: one that has imported MolExp has shown it Linux already.
    command = [sys.executable, "-m", "tests.platforms.disguise", system, program]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE
    )
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "found.json").read_text())


def test_the_first_pages_of_the_documentation_work(found):
    assert found["runs"] == {"one": "succeeded", "two": "failed"}
    assert found["results"] == {"final_loss": 0.001}
    assert found["as a file"] == "succeeded"
    assert found["stdout"] == "it begins\n"
    assert bytes.fromhex(found["data"]) == b"1\n2\r\n"


def test_commands_answer(found):
    assert found["commands"].pop("exec") == 3, "the exit code of the command"
    assert set(found["commands"].values()) == {0}
    assert len(found["commands"]) > 8


def test_a_listing_tells_the_same_of_a_file_as_a_look_at_it(found):
    assert found["a listing says the same"]


def test_what_a_reader_prevents_is_said(found, system):
    replaced = found["replaced while it is read"]
    assert replaced == "2" if system == "macos" else "or another program has it open" in replaced
