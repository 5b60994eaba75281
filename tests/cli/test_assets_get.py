"""molexp assets get: a copy of an asset outside of the workspace."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import PROGRAM, Terminal, environment, program

LARGE = bytes(range(256)) * 40_000


@pytest.fixture
def several(in_lab, here):
    exp = in_lab.Project("metals").Experiment("cu")
    (here / "frames").mkdir()
    (here / "frames" / "a.xyz").write_text("a")
    exp.data_assets.import_asset("frames", here / "frames", action="move")
    with exp.Run(id="n1").start() as ctx:
        ctx.artifact.save("model.json", [1])
        with ctx.artifact.writing("big.bin") as path:
            path.write_bytes(LARGE)
    return in_lab


MODEL = "metals/cu/n1#1:artifact:model.json@1"
BIG = "metals/cu/n1#1:artifact:big.bin@1"
FRAMES = "metals/cu:data:frames@1"


def payload(lab: me.Workspace, of: str) -> Path:
    return lab.asset(of).path


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        ([MODEL], "model.json"),
        ([MODEL, "copy.json"], "copy.json"),
        ([MODEL, "new/"], "new/model.json"),
        (["@latest:model.json", "lab/.."], "model.json"),
        (["n1:model.json"], "model.json"),
    ],
)
def test_a_file_is_copied_and_its_path_is_printed(several, molexp, here, arguments, made):
    done = molexp("assets", "get", *arguments)
    assert (done.code, done.err) == (0, ""), "no bar where nobody looks"
    assert Path(done.out.rstrip("\n")).samefile(here / made)
    assert (here / made).read_bytes() == payload(several, MODEL).read_bytes()


def test_a_folder_is_copied(several, molexp, here):
    assert molexp("assets", "get", FRAMES).out == f"{here / 'frames'}\n"
    assert (here / "frames" / "a.xyz").read_text() == "a"


def test_json_says_what_it_is_and_where(several, molexp, here):
    found = molexp("assets", "get", MODEL, "--json").json()
    assert (found["id"], found["path"], found["size"]) == (MODEL, str(here / "model.json"), several.asset(MODEL).size)
    assert found["content_hash"].startswith("sha256:")


def test_standard_output_gets_the_bytes_and_nothing_else(several, here):
    done = subprocess.run(
        [PROGRAM, "assets", "get", BIG, "-"], cwd=here, env=environment(), capture_output=True, check=True
    )
    assert done.stdout == LARGE
    assert done.stderr == b""
    assert sorted(path.name for path in here.iterdir()) == ["lab"]


def test_a_reader_that_goes_away_ends_it_without_a_word(several, here):
    command = f"{PROGRAM} assets get {BIG} - | head -c 10 | wc -c; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=here, env=environment(), capture_output=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (141, b"10", b"")


def test_what_is_there_is_replaced_only_on_request(several, molexp, here):
    (here / "model.json").write_text("mine")
    done = molexp("assets", "get", MODEL)
    assert (done.code, done.out) == (4, "")
    assert done.err == f"molexp: {str(here / 'model.json')!r} exists already; add --overwrite to replace it.\n"
    assert (here / "model.json").read_text() == "mine"
    assert molexp("assets", "get", MODEL, "--overwrite").code == 0
    assert (here / "model.json").read_bytes() == payload(several, MODEL).read_bytes()


def test_other_bytes_than_those_recorded_are_refused(several, molexp, here):
    payload(several, MODEL).write_text("[2]")
    recorded = several.asset(MODEL).content_hash
    for destination in (".", "-"):
        done = molexp("assets", "get", MODEL, destination)
        assert done.code == 4
        assert f"recorded: {recorded}\nfound: sha256:" in done.err
        assert "Traceback" not in done.err
    assert sorted(path.name for path in here.iterdir()) == ["lab"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["metals/cu/n1#1:artifact:modle.json@1"], 3, f"Did you mean {MODEL!r}"),
        (["metals/cu:data:frame@1"], 3, f"Did you mean {FRAMES!r}"),
        (["metals/cu/n7#1:artifact:model.json@1"], 3, "There is no run 'metals/cu/n7'"),
        (["n1:modle.json"], 3, "Did you mean 'model.json'"),
        (["n7:model.json"], 3, "There is no run 'n7'"),
        (["model.json"], 2, "no asset id"),
        ([FRAMES, "-"], 4, "folder"),
        ([MODEL, "-", "--json"], 2, '{"error":{"code":"usage","message":"Invalid value for --json: '),
        ([MODEL, "lab/workspace.json/below"], 4, "Not a directory"),
        ([], 2, "ASSET"),
    ],
)
def test_what_cannot_be_is_explained(several, molexp, here, arguments, code, says):
    done = molexp("assets", "get", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert done.err.startswith("{" if "--json" in arguments else "molexp: ")
    assert "Traceback" not in done.err
    assert sorted(path.name for path in here.iterdir()) == ["lab"]


def test_bytes_that_are_gone_are_not_found(several, molexp):
    payload(several, MODEL).unlink()
    done = molexp("assets", "get", MODEL)
    assert done.code == 3
    assert "model.json" in done.err


def test_on_a_terminal_there_is_a_bar_and_then_the_path(several, here):
    terminal = Terminal(here, "assets", "get", BIG)
    terminal.wait_for(str(here / "big.bin"))
    assert terminal.end() == 0
    assert "10.2/10.2 MB" in terminal.text
    assert "\x1b[" in terminal.text
    assert terminal.text.count(str(here)) == 1
    assert (here / "big.bin").read_bytes() == LARGE


def test_a_terminal_that_can_do_nothing_gets_no_bar(several, here):
    terminal = Terminal(here, "assets", "get", BIG, "--json", env={"TERM": "dumb"})
    assert terminal.end() == 0
    assert json.loads(terminal.text)["path"] == str(here / "big.bin")


def test_a_workspace_that_can_only_be_read_is_enough(several, here):
    for path in sorted((here / "lab").rglob("*")):
        if path.is_dir():
            path.chmod(0o555)
    try:
        done = program(here, "assets", "get", MODEL)
    finally:
        for path in (here / "lab").rglob("*"):
            if path.is_dir():
                path.chmod(0o755)
    assert (done.code, done.err) == (0, "")
