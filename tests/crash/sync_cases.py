"""A sync that is killed at one operation at its destination: what is there then, and what the next one makes of it.

Runs in a case of `zygote`, with real processes. Whoever made the runs is dead, and readers look all the time: an attempt
that is there without its end would be taken for interrupted.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import molexp as me
from tests.crash import checks

BIG = bytes(range(256)) * (5 << 10)  # 1.25 MiB: it streams


def fill(folder: Path, stage: int) -> None:
    """Make what the source has at first, and what it has more afterwards."""
    exp = me.Workspace(folder).Project("metals").Experiment("cu", params={"a": 3.6})
    names = ("one", "two") if stage == 1 else ("two", "three", "four")
    data = folder.parent / "data"
    data.mkdir(exist_ok=True)
    (data / "a.txt").write_text(f"{stage}")
    exp.data_assets.import_asset("ref", data / "a.txt")
    exp.data_assets.import_asset("tree", data)
    for name in names:
        with exp.Run({"name": name}, id=name).start() as ctx:
            ctx.set_result("stage", stage)
            ctx.artifact.save("a.json", {"stage": stage})
            ctx.log("relax").append(f"stage {stage}")
            if name == "three":
                (data / "big.bin").write_bytes(BIG)
                ctx.artifact.save("big.bin", data / "big.bin")
    if stage == 2:
        exp.run("one").annotate(tags=["late"])
        exp.run("four").delete()
        exp.Run(id="pending")


def sync_case(request: dict[str, Any], fork: Callable[[Callable[[], None]], int]) -> dict[str, Any]:
    """Kill a sync at one operation; into an empty place, or one that has an older state."""
    base = Path(tempfile.mkdtemp(dir=request["folder"]))
    source, folder = base / "source", base / "lab"
    caches = {"watching": base / "watching", "fresh": base / "fresh"}
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "writer")
    for place in _made(Path(request["folder"]), request["older"], fork).iterdir():
        shutil.copytree(place, base / place.name)
    truth = {run.path: run.to_dict() for run in checks.all_runs(me.Workspace.load(source))}
    os.environ["KILL_AT"], os.environ["KILL_SIDE"] = str(request["k"]), request["side"]
    count = base / "operations"
    if request.get("count"):
        os.environ["COUNT_TO"] = str(count)
    pid = fork(lambda: _sync(source, f"killing://{folder}"))
    os.environ["KILL_AT"] = "0"
    os.environ.pop("COUNT_TO", None)
    while (status := os.waitpid(pid, os.WNOHANG))[0] == 0:
        _watch(folder, caches["watching"], truth)
    killed = os.WIFSIGNALED(status[1])
    assert killed or status[1] == 0, "the sync failed"
    _watch(folder, caches["watching"], truth)
    if (folder / "workspace.json").exists():
        checks.check_record(checks.open_with(folder, caches["fresh"]), folder)
        checks.check_catalog(folder, caches, base / "rebuilt")
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "writer")
    _done(fork(lambda: _sync(source, str(folder))))
    _same(source, folder)
    checks.check_catalog(folder, caches, base / "rebuilt")
    answer: dict[str, Any] = {"killed": killed}
    if request.get("count"):
        answer["operations"] = count.read_text().split()
    shutil.rmtree(base)
    return answer


def _made(folder: Path, older: bool, fork: Callable[[Callable[[], None]], int]) -> Path:
    """Return the folder of what cases begin with, which the first of them makes: a source, and what was synced before."""
    made = folder / f"made-{older}"
    if not made.exists():
        base = Path(tempfile.mkdtemp(dir=folder))
        source, copy = base / "made" / "source", base / "made" / "lab"
        os.environ["KILL_AT"] = "0"
        _done(fork(lambda: fill(source, 1)))
        if older:
            _done(fork(lambda: _sync(source, str(copy))))
        _done(fork(lambda: fill(source, 2)))
        try:
            (base / "made").rename(made)
        except OSError:
            pass  # another process was faster
        shutil.rmtree(base)
    return made


def _sync(source: Path, destination: str) -> None:
    report = me.sync_workspace(source, destination)
    assert report.ok, report
    assert not report.unfinished, report


def _done(pid: int) -> None:
    assert os.waitpid(pid, 0)[1] == 0, "a process failed"


def _watch(folder: Path, cache: Path, truth: dict[str, dict[str, Any]]) -> None:
    """Check that all that can be seen is what the source has, or had: never an attempt that has not come to its end."""
    if not (folder / "workspace.json").exists():
        return
    for path, document in checks.answers(checks.open_with(folder, cache))["runs"].items():
        history = document["execution_history"]
        assert path in truth, f"{path} was deleted"
        assert history == truth[path]["execution_history"][: len(history)], path
        assert document["status"] == (history[-1]["status"] if history else "pending"), path


def _same(source: Path, folder: Path) -> None:
    """Both places have the same record."""
    ours, theirs = (
        {
            path.relative_to(root).as_posix(): _content(path)
            for path in root.rglob("*")
            if path.is_file() and ".molexp" not in path.parts and not path.name.startswith(".tmp-")
        }
        for root in (source, folder)
    )
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    assert not differing, differing


def _content(path: Path) -> Any:
    """Return what counts of a file: what people are shown may have been folded after another edit."""
    if path.name != "run.json":
        return path.read_bytes()
    return {name: value for name, value in json.loads(path.read_bytes()).items() if name != "tags"}
