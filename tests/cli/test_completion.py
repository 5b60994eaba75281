"""Completion in shells: of commands, and of what is in a workspace, as fast and as silent as a shell wants it."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import sys
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import DEADLINE, Done, program

ESCAPES = re.compile(r"\x1b(?:\[[0-9;?<=>]*[a-zA-Z]|\][^\x07]*\x07|\(B|[=>])|[\r\x07]|.\x08")
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(molexp completion bash)"'),
    "zsh": (["zsh", "-f", "-i"], 'bindkey -e; eval "$(molexp completion zsh)"'),
    "fish": (["fish", "--no-config", "-i"], "molexp completion fish | source"),
}


@pytest.fixture
def metals(in_lab: me.Workspace) -> me.Workspace:
    """A workspace with some runs, which the catalog has seen."""
    copper = in_lab.Project("metals").Experiment("cu", params={"basis": "SVP"})
    for name in ("large", "latest-of-all", "medium"):
        run = copper.Run({"lattice": 3.6, "a b; reboot": 1}, id=name)
        run.annotate(tags=["checked"])
        with run.start() as ctx:
            ctx.set_result("energy", -3.7)
            ctx.artifact.save("volumes.json", [1])
            ctx.artifact.save("x;reboot", [1])
            ctx.log("relax").append("done")
    in_lab.Project("metals").Experiment("ag").Run({}, id="silver")
    in_lab.catalog.runs()
    copper.run("medium").delete()
    in_lab.catalog.runs()
    return in_lab


def asked(here: Path, line: str, **env: str) -> Done:
    """Ask as the scripts of all shells do."""
    how = {
        "_MOLEXP_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"molexp {line}",
    }
    return program(here, env={**how, **env})


def offered(here: Path, line: str, **env: str) -> list[str]:
    done = asked(here, line, **env)
    assert (done.code, done.err) == (0, "")
    return [word.partition("\t")[0] for word in done.lines() if word]


def test_words_of_a_workspace_complete_where_they_may_stand(metals, here):
    (here / "molcfg.yaml").write_text("profiles: {gpu: {}, quick: {}}")
    found = {
        "show ": ["metals/", "@latest"],
        "show m": ["metals/"],
        "show la": ["large", "latest-of-all"],
        "compare large metals/": ["metals/ag/", "metals/cu/"],
        "logs metals/cu/": ["metals/cu/large", "metals/cu/latest-of-all", "metals/cu/@latest"],
        "runs tag checked metals/cu/l": ["metals/cu/large", "metals/cu/latest-of-all"],
        "logs large ": ["relax"],
        "plot results.": ["results.energy"],
        "plot results.energy params.l": ["params.lattice"],
        "plot results.energy --by params.l": ["params.lattice"],
        "plot loss metals/cu/la": ["metals/cu/large", "metals/cu/latest-of-all"],
        "watch metals/cu/la": ["metals/cu/large", "metals/cu/latest-of-all"],
        "lineage large:v": ["large:volumes.json"],
        "assets get metals/cu/@latest:v": ["metals/cu/@latest:volumes.json"],
        "runs list -e ": ["ag", "cu", "metals/"],
        "runs list --experiment=metals/c": ["metals/cu"],
        "runs list --project ": ["metals"],
        "runs list --status s": ["succeeded"],
        "runs list --tag ": ["checked"],
        "runs list --param la": ["lattice="],
        "runs list 'params.": ["params.basis", "params.lattice"],
        "runs list 'params.lattice > 3 and results.en": ["params.lattice > 3 and results.energy"],
        "runs list 'status == \"int": ['status == "interrupted'],
        "runs list --sort results.": ["results.energy"],
        "assets list --kind art": ["artifact"],
        "projects archive ": ["metals"],
        "exec metals/": ["metals/ag", "metals/cu"],
        "run x.py --profile ": ["gpu", "quick"],
        "run x.py --executor in": ["inline"],
        "plugins show co": ["core"],
        "completion z": ["zsh"],
        "complet": ["completion"],
    }
    assert {line: offered(here, line) for line in found} == found


def test_every_status_and_every_column_is_offered(metals, here):
    assert sorted(offered(here, "runs list --status ")) == sorted(me.RunStatus)
    found = {one.rstrip(".") for one in offered(here, "runs list --sort ")}
    assert {name.partition(".")[0] for row in metals.catalog.runs() for name in row} <= found
    for one in found:
        metals.catalog.runs(f"{one} is null")  # or that is no field


def test_a_run_that_the_index_does_not_know_yet_is_offered(metals, here):
    metals.project("metals").experiment("ag").Run({}, id="sterling")
    assert offered(here, "show metals/ag/") == ["metals/ag/silver", "metals/ag/sterling", "metals/ag/@latest"]


def test_names_that_a_shell_would_obey_are_left_out(metals, here):
    assert sorted(offered(here, "lineage large:")) == ["large:relax", "large:volumes.json"]
    assert [word for word in offered(here, "runs list params.") if "reboot" in word] == []


def test_what_is_damaged_or_not_there_is_silence_and_nothing_is_made(metals, here, tmp_path):
    cache = tmp_path / "no-cache"
    before = sorted(here.rglob("*"))
    assert offered(here, "show metals/cu/la", MOLEXP_CACHE_DIR=str(cache)) == [
        "metals/cu/large",
        "metals/cu/latest-of-all",
    ]
    for workspace in ("nowhere", "s3://bucket/nowhere", "memory:x", "\x01", "odd://x"):
        assert offered(here, "show x", MOLEXP_WORKSPACE=workspace) == []
    assert asked(here, "show 'un\"balanced \\").err == ""
    (here / "molcfg.yaml").write_text("profiles: [")
    assert offered(here, "run x.py --profile ") == []
    (here / "molcfg.yaml").unlink()
    for index in Path(os.environ["MOLEXP_CACHE_DIR"]).rglob("*.sqlite3"):
        index.write_bytes(index.read_bytes()[:5000])
    assert "metals/cu/large" in offered(here, "show metals/cu/")
    (here / "lab" / "workspace.json").write_text("{")
    assert "metals/cu/large" in offered(here, "show metals/cu/")
    assert (sorted(here.rglob("*")), cache.exists()) == (before, False)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_words(metals, here, shell):
    command, setup = SHELLS[shell]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{shell} is not installed")
    (here / "train.py").touch()
    its = {
        "HOME": str(here),
        "TERM": "xterm",
        "PS1": "$ ",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    child, terminal = pty.fork()
    if not child:
        os.execvpe(command[0], command, {**os.environ, **its})
    try:
        typed(terminal, f"{setup}; echo 'is rea'dy\r", "is ready")
        for words, found in (
            ("show metals/cu/lar", "show metals/cu/large"),
            ("show @la", "show @latest"),
            ("show metals/ag/@la", "show metals/ag/@latest"),
            ("lineage large:vol", "lineage large:volumes.json"),
            ("runs list --experiment=metals/c", "runs list --experiment=metals/cu"),
            ("runs list 'params.lattice > 3 and results.en", "runs list 'params.lattice > 3 and results.energy"),
            ("run trai", "run train.py"),
        ):
            typed(terminal, f"molexp {words}\t", found)
            typed(terminal, "\x15echo 'is do'ne\r", "is done")  # the line is thrown away
    finally:
        os.close(terminal)
        os.kill(child, 9)
        os.waitpid(child, 0)


def typed(terminal: int, keys: str, until: str) -> None:
    """Press keys, and wait until the terminal has shown a text."""
    shown = ""
    os.write(terminal, keys.encode())
    while until not in ESCAPES.sub("", shown).replace("\n", ""):
        assert select.select([terminal], [], [], DEADLINE)[0], f"{until!r} is not in {shown!r}"
        more = os.read(terminal, 65536).decode("utf-8", "replace")
        if "\x1b[c" in more or "\x1b[0c" in more:  # fish asks which terminal it is
            os.write(terminal, b"\x1b[?62;c")
        shown += more
