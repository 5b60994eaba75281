"""A repository is described without running anything that it configures, whoever made it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt" or shutil.which("git") is None, reason="there is no git, or no sh")

# Starts a run in each folder that is named, in a child of its own: provenance is captured once for a process.
WORK = """
import os, sys
import molexp as me
for folder in sys.argv[2:]:
    if os.fork() == 0:
        os.chdir(folder)
        name = os.path.basename(folder)
        with me.Workspace(sys.argv[1]).Project("p").Experiment("e").Run(id=name).start():
            pass
        os._exit(0)
    assert os.wait()[1] == 0
"""
PLAIN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}


def git(folder: Path, *words: str, check: bool = True) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main")
    command = ["git", *who, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=check, env=PLAIN).stdout


def repository(folder: Path, **files: str) -> Path:
    folder.mkdir()
    git(folder, "init", "-q")
    for name, text in {"a.txt": "one\n", **files}.items():
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def described(tmp_path: Path, *folders: Path, **environ: str) -> list[dict[str, Any]]:
    """Return the recorded git state of runs that were started in each folder."""
    lab = tmp_path / "lab"
    command = [sys.executable, "-c", WORK, str(lab), *map(str, folders)]
    subprocess.run(command, check=True, timeout=300, env={**os.environ, **environ})
    found = []
    for folder in folders:
        run = json.loads((lab / "projects/p/experiments/e/runs" / folder.name / "executions/1.end.json").read_text())
        found.append(json.loads((lab / "provenance" / f"{run['provenance']}.json").read_text())["git"])
    return found


HOSTILE = {  # what is configured, and whether a plain `git status` or `git diff` runs it
    "core.fsmonitor": True,
    "filter.x.clean": True,
    "filter.x.process": True,
    "filter.x.smudge": False,
    "filter.a.b c/d.clean": False,
    "diff.x.textconv": True,
    "diff.x.command": True,
    "diff.external": True,
    "core.pager": False,
    "pager.status": False,
    "core.sshCommand": False,
    "core.askPass": False,
    "core.editor": False,
    "core.gitProxy": False,
    "credential.helper": False,
    "gpg.program": False,
    "core.alternateRefsCommand": False,
    "alias.status": False,
    "alias.diff": False,
    "interactive.diffFilter": False,
    "submodule.sub.update": False,
    "uploadpack.packObjectsHook": False,
}


def test_nothing_that_a_repository_configures_is_run(tmp_path):
    ran = tmp_path / "ran"
    folders = []
    for number, (key, plain) in enumerate(HOSTILE.items()):
        folder = repository(tmp_path / f"r{number}", **{".gitattributes": "*.txt filter=x diff=x\n"})
        (folder / "a.txt").write_text("two\n")
        git(
            folder,
            "config",
            key,
            f"{'!' if 'alias' in key or 'update' in key else ''}sh -c 'echo {number} >> {ran}; cat'",
        )
        git(folder, "config", "log.showSignature", "true")
        if plain:
            git(folder, "status", check=False)
            git(folder, "diff", "HEAD", check=False)
            assert ran.exists(), key
            ran.unlink()
        folders.append(folder)

    found = described(tmp_path, *folders)

    assert not ran.exists(), ran.read_text()
    for one in found:
        assert (len(one["commit"]), one["branch"], one["dirty"]) == (40, "main", True)
        assert "+two" in one["diff"]


def test_no_hook_is_run(tmp_path):
    ran = tmp_path / "ran"
    folder = repository(tmp_path / "r")
    (folder / "a.txt").write_text("two\n")
    for name in ("post-index-change", "fsmonitor-watchman", "pre-auto-gc", "reference-transaction", "post-checkout"):
        hook = folder / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
        hook.chmod(0o755)
    (git_state,) = described(tmp_path, folder)

    assert not ran.exists()
    assert git_state["dirty"]


def test_nothing_is_run_in_a_submodule(tmp_path):
    ran = tmp_path / "ran"
    inner = repository(tmp_path / "inner", **{".gitattributes": "*.txt filter=x diff=x\n"})
    folder = repository(tmp_path / "outer")
    git(folder, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner), "sub")
    git(folder, "commit", "-q", "-m", "second")
    for key in ("core.fsmonitor", "filter.x.clean", "diff.x.textconv"):
        git(folder / "sub", "config", key, f"sh -c 'echo {key} >> {ran}; cat'")
    git(folder, "config", "diff.submodule", "diff")
    git(folder, "config", "status.submoduleSummary", "true")
    (folder / "sub/a.txt").write_text("two\n")
    (folder / "a.txt").write_text("two\n")
    (git_state,) = described(tmp_path, folder)

    assert not ran.exists()
    assert "+two" in git_state["diff"]


def test_missing_objects_are_not_fetched(tmp_path):
    ran = tmp_path / "ran"
    origin = repository(tmp_path / "origin")
    git(origin, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{origin}", "clone")
    folder = tmp_path / "clone"
    git(folder, "reset", "-q", check=False)
    (folder / "a.txt").write_text("two\n")
    git(folder, "config", "protocol.ext.allow", "always")
    git(folder, "config", "remote.origin.uploadpack", f"sh -c 'echo uploadpack >> {ran}'")
    git(folder, "diff", "HEAD", check=False)
    assert ran.exists()
    ran.unlink()
    described(tmp_path, folder)

    assert not ran.exists()


def test_a_working_tree_elsewhere_is_not_read(tmp_path):
    private = tmp_path / "private"
    private.mkdir()
    (private / "a.txt").write_text("only its owner may read this\n")
    folder = repository(tmp_path / "r")
    git(folder, "config", "core.worktree", str(private))
    (git_state,) = described(tmp_path, folder)

    assert "only its owner" not in json.dumps(git_state)
    assert "problem" in git_state


def test_variables_for_another_repository_are_not_heeded(tmp_path):
    other = repository(tmp_path / "other", b="b")
    folder = repository(tmp_path / "r")
    names = {"GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": str(other / ".git/index")}
    (git_state,) = described(tmp_path, folder, **names)

    assert git_state["commit"] == git(folder, "rev-parse", "HEAD").strip()
    assert not git_state["dirty"]


def test_a_repository_without_a_commit_has_none(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    git(folder, "init", "-q")
    (git_state,) = described(tmp_path, folder)

    assert (git_state["commit"], git_state["branch"]) == (None, "main")


@pytest.mark.skipif(os.getuid() != 0, reason="NO SECOND USER WITHOUT ROOT")
def test_a_repository_that_git_refuses_is_named_as_a_problem(tmp_path):
    folder = repository(tmp_path / "r")
    outside = tmp_path / "outside"
    outside.mkdir()
    for path in (folder, folder / ".git"):
        os.chown(path, 65534, 65534)
    refused, none = described(tmp_path, folder, outside)

    assert "dubious ownership" in refused["problem"]
    assert none is None


def test_without_git_a_repository_is_named_as_a_problem(tmp_path):
    (git_state,) = described(tmp_path, repository(tmp_path / "r"), PATH="/nonexistent")

    assert git_state == {"problem": "git cannot be started: No such file or directory"}


def test_a_python_without_files_in_memory_asks_git_all_the_same(tmp_path):
    """Python has no `os.memfd_create` if it was built for an old glibc, as that of conda is."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "sitecustomize.py").write_text("import os\ndel os.memfd_create\n")

    (git_state,) = described(tmp_path, repository(tmp_path / "r"), PYTHONPATH=str(tmp_path / "old"))

    assert git_state["branch"] == "main"
