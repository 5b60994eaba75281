"""molexp rerun: a run is repeated with the code of its commit and its changes, beside the user's checkout."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

import molexp as me
from tests.cli.helpers import eventually, program, spawn

SCRIPT = """
import molexp as me
from molexp.workflow import WorkflowBuilder

wf = WorkflowBuilder(name="scan")


@wf.task
def energy(ctx):
    ctx.set_result("energy", ctx.params["a"] * FACTOR)
    ctx.set_result("steps", [1, 2])
    WAIT


ws = me.Workspace("./lab")
exp = ws.Project("metals").Experiment("cu", space=me.grid(a=[2]))
wf.build().bind_to(exp)
me.entry(ws)
"""


def git(*arguments: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=n@localhost")
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout


def write(factor: float, wait: str = "pass") -> None:
    Path("scan.py").write_text(SCRIPT.replace("FACTOR", str(factor)).replace("WAIT", wait))


@pytest.fixture
def code(here, molexp):
    """A repository with a script that was executed with changes, and has another commit since."""
    git("init", "-q")
    Path(".gitignore").write_text("lab\n__pycache__\n")
    write(1.0)
    git("add", ".")
    git("commit", "-qm", "one")
    return here


def test_the_code_of_then_is_executed_and_the_checkout_is_not_touched(molexp, code, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    write(3.0)  # a change that is not committed
    assert molexp_run(code) == 0
    write(5.0)
    git("commit", "-qam", "two")
    write(70.25)  # of another length: Python takes bytecode for current that is as old and belongs to as long a text
    before = git("status", "--short"), git("rev-parse", "HEAD"), Path("scan.py").read_text(), git("worktree", "list")
    planned = molexp("-w", "lab", "rerun", "@latest", "--dry-run")
    assert ["changes", "1", "file"] in [line.split() for line in planned.lines()]
    refused = molexp("-w", "lab", "rerun", "@latest")
    assert (refused.code, "add --yes" in refused.err) == (4, True)
    done = molexp("-w", "lab", "rerun", "@latest", "--yes", "--json")
    assert done.code == 0, done.err
    found = done.json()
    assert (found["equal"], found["results"]["energy"]) == (True, {"before": 6.0, "now": 6.0, "difference": "equal"})
    ws = me.Workspace.load("lab")
    new, old = ws.run(found["rerun"]), ws.run(found["run"])
    assert (new.parameters, [*new.tags]) == (old.parameters, [f"rerun-of-{old.id}"])
    then, now = (dict(one.provenance or {})["git"] for one in (old, new))
    assert (then["commit"], then["diff"]) == (now["commit"], now["diff"])
    assert before == (
        git("status", "--short"),
        git("rev-parse", "HEAD"),
        Path("scan.py").read_text(),
        git("worktree", "list"),
    )
    assert [*(tmp_path / "tmp").glob("molexp-rerun-*")] == []

    here = molexp("-w", "lab", "rerun", old.path, "--here", "--script", "scan.py", "--yes")
    assert (here.code, "+134.5, relatively 22" in here.out, "1 of 2 results are equal" in here.out) == (1, True, True)
    left = molexp("-w", "lab", "rerun", old.path, "--without-changes", "--dry-run", "--json").json()
    assert (left["changes"], left["script"]) == (False, "scan.py")


def molexp_run(folder: Path) -> int:
    """Execute the script in a process of its own: what it knows of git is captured once in a process."""
    return program(folder, "run", "scan.py").code


def test_a_command_is_repeated_in_its_folder(molexp, code):
    Path("sub").mkdir()
    Path("sub/word.txt").write_text("one\n")
    git("add", ".")
    git("commit", "-qm", "word")
    process = spawn(
        code / "sub", "-w", "../lab", "exec", "m/x", "--set", "a=1", "--", "cat", "word.txt", stdout=subprocess.DEVNULL
    )
    assert process.wait() == 0
    Path("sub/word.txt").write_text("two\n")
    done = program(code, "-w", "lab", "rerun", "@latest", "--yes", "--json")
    assert done.code == 0, done.err
    new = me.Workspace.load("lab").run(done.json()["rerun"])
    assert (new.logs["stdout"].text(), new.parameters) == ("one\n", {"a": 1})


def test_what_is_not_as_it_was_is_said_before(molexp, code, monkeypatch):
    monkeypatch.setenv("MOLEXP_GIT_DIFF", "0")
    write(3.0)
    assert molexp_run(code) == 0
    done = molexp("-w", "lab", "rerun", "@latest", "--dry-run")
    assert "the code had changes that were not committed, and are not on record" in done.err
    git("checkout", "-q", "--orphan", "other")
    git("commit", "-qm", "unrelated")
    git("branch", "-D", "master") if "master" in git("branch") else git("branch", "-D", "main")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")
    done = molexp("-w", "lab", "rerun", "@latest", "--yes")
    assert (done.code, "of the run is not in" in done.err, "--here" in done.err) == (4, True, True)


def test_a_stranger_s_clone_and_record_execute_nothing_else(molexp, code):
    assert molexp_run(code) == 0
    touched = code.parent / "executed"
    program_of_theirs = f"touch '{touched}'; cat; true"
    hook = Path(".git/hooks/post-checkout")
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{program_of_theirs}\n")
    hook.chmod(0o755)
    Path(".git/info").mkdir(exist_ok=True)
    Path(".git/info/attributes").write_text("*.py filter=theirs\n")
    for name in ("core.fsmonitor", "filter.theirs.smudge", "filter.theirs.clean"):
        git("config", name, f"sh -c '{program_of_theirs}'" if name == "core.fsmonitor" else program_of_theirs)
    git("config", "filter.theirs.required", "true")
    touched.unlink(missing_ok=True)  # `git config` starts nothing, but git may look at the files
    assert molexp("-w", "lab", "rerun", "@latest", "--yes").code == 0
    assert not touched.exists()

    [old] = [row.path for row in me.Workspace.load("lab").catalog.runs() if not row.tags]
    commit = git("rev-parse", "HEAD").strip()
    outside = code.parent / "theirs.py"
    outside.write_text(f"open({str(touched)!r}, 'w')")
    for said, forged, why in (
        ('"file": "scan.py"', f'"file": "{outside}"', "does not lie in the repository"),
        (f'"commit": "{commit}"', '"commit": "--help"', "is no hash of one"),
        (f'"commit": "{commit}"', f'"commit": "{commit[:-4]}0000"', "is not in"),  # and it is not fetched
    ):
        documents = {one: one.read_text() for one in Path("lab/provenance").iterdir()}
        for place, text in documents.items():
            place.write_text(text.replace(said, forged))
        git("config", "extensions.partialClone", "origin")
        git("config", "remote.origin.promisor", "true")
        git("config", "remote.origin.url", "ssh://localhost/theirs")
        git("config", "core.sshCommand", program_of_theirs)
        done = molexp("-w", "lab", "rerun", old, "--yes")
        assert (done.code, why in done.err, touched.exists()) == (4, True, False), done.err
        for place, text in documents.items():
            place.write_text(text)


def test_what_cannot_be_repeated_is_said(molexp, in_lab, here):
    exp = in_lab.Project("m").Experiment("e")
    with exp.Run(id="block").start():
        pass
    exp.record_past_run({}, id="old")
    assert "it is a block of a script" in molexp("rerun", "m/e/block", "--yes").err
    done = molexp("rerun", "m/e/old", "--yes", "--json")
    assert (done.code, '"not_repeatable"' in done.err, "was imported" in done.err) == (4, True, True)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_the_worktree_is_removed_when_it_is_stopped(molexp, code, tmp_path, number):
    (tmp_path / "tmp").mkdir()
    marker = tmp_path / "wait"
    write(
        1.0,
        wait=f"import os, time; open({str(tmp_path / 'began')!r}, 'a').close(); [time.sleep(0.05) for _ in iter(lambda: os.path.exists({str(marker)!r}), False)]",
    )
    git("commit", "-qam", "slow")
    assert molexp_run(code) == 0
    (tmp_path / "began").unlink()
    marker.touch()
    process = spawn(
        code, "-w", "lab", "rerun", "@latest", "--yes", env={"TMPDIR": str(tmp_path / "tmp")}, start_new_session=True
    )
    eventually((tmp_path / "began").exists)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as the terminal does
    else:
        process.send_signal(number)
    assert process.wait() == (130 if number == signal.SIGINT else 143)
    assert [*(tmp_path / "tmp").glob("molexp-rerun-*")] == []
    assert len(git("worktree", "list").splitlines()) == 1
    statuses = {
        str(row.status) for row in me.Workspace.load("lab").catalog.runs("tags is not null", archived=True) if row.tags
    }
    assert statuses == {"interrupted" if number == signal.SIGTERM else "cancelled"}
