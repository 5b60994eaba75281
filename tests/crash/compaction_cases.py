"""Cases of `zygote` in which compactors are killed, alone or among writers, while readers look on all the time."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Fork = Callable[[Callable[[], None]], int]


def small_thresholds() -> None:
    """Full segments and merges happen with a handful of rows, too."""
    from tests.internals import tune

    tune(None, "rows that make a full segment", 4)
    tune(None, "segments beside a full one", 1)


def leave_journals(folder: Path, start: int, fork: Fork) -> None:
    """Five writers: two that exit well, three that are killed, one of them before it does what it announced."""
    import atexit

    import molexp as me

    def write(number: int) -> None:
        experiment = me.Workspace(folder).Project("metals").Experiment("cu")
        with experiment.Run({"n": number}, id=f"r{number}").start() as ctx:
            ctx.set_result("number", number)
            ctx.artifact.save("a.json", {"number": number})
            if number % 5 == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        if number % 5 == 3:
            experiment._session.journal.announce(f"projects/metals/experiments/cu/runs/r{number}/edits/never.json")
            os.kill(os.getpid(), signal.SIGKILL)
        if number % 5 == 4:
            experiment.run(f"r{number - 4}").annotate(tags=[f"by-{number}"])
            os.kill(os.getpid(), signal.SIGKILL)
        atexit._run_exitfuncs()  # a fork that ends by `_exit` would not retire its journal

    for number in range(start, start + 5):
        os.waitpid(fork(lambda number=number: write(number)), 0)  # type: ignore[misc]


def compaction_case(request: dict[str, Any], fork: Fork) -> dict[str, Any]:
    """Kill a compactor at one operation (or not at all); then others go on."""
    import molexp as me
    from tests.crash import checks

    small_thresholds()
    base = Path(tempfile.mkdtemp(dir=request["folder"]))
    folder, caches = base / "lab", {"watching": base / "watching", "fresh": base / "fresh"}
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "writer")
    leave_journals(folder, 0, fork)
    watching = checks.open_with(folder, caches["watching"])
    checks.answers(watching)
    checks.open_with(folder, base / "another").catalog.compact()
    leave_journals(folder, 5, fork)
    os.environ.update(KILL_AT=str(request["k"]), KILL_SIDE=request["side"])
    count = base / "operations"
    if request.get("count"):
        os.environ["COUNT_TO"] = str(count)
    os.environ["MOLEXP_CACHE_DIR"] = str(base / "compactor")
    pid = fork(lambda: (me.Workspace(f"killing://{folder}").catalog.compact(), None)[1])
    _, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, "the compactor failed"
    checks.check_record(checks.open_with(folder, caches["fresh"]), folder)
    checks.check_catalog(folder, caches, base / "rebuilt")
    for cache in ("another", "watching"):
        checks.open_with(folder, base / cache).catalog.compact()
        checks.check_catalog(folder, caches, base / "rebuilt")
    left = sorted(path.name for path in (folder / ".molexp").rglob("*") if path.parent.name in ("journals", "sealed"))
    assert not left, f"nobody writes, and journals are left: {left}"
    answer: dict[str, Any] = {"killed": killed}
    if request.get("count"):
        answer["operations"] = count.read_text().split()
    shutil.rmtree(base)
    return answer


# ----------------------------------------------------------------------------------------------- among writers and readers


def compact_for_ever(folder: Path, cache: Path) -> None:
    """A compactor that does nothing else, until it is killed."""
    from tests.crash import checks

    small_thresholds()
    while not (folder / "workspace.json").exists():
        select.select([], [], [], 0.001)
    ws = checks.open_with(folder, cache)
    while True:
        ws.catalog.compact()


def look_on(folder: Path, cache: Path, gate: int, tell: int) -> None:
    """Refresh until the gate closes; tell what contradicts an earlier answer."""
    from tests.crash import checks

    while not (folder / "workspace.json").exists():
        select.select([], [], [], 0.001)
    ws = checks.open_with(folder, cache)
    seen: dict[str, Any] = {}
    wrong: list[str] = []
    rounds, last = 0, False
    while not last:
        last = bool(select.select([gate], [], [], 0)[0])
        found = checks.answers(ws)["runs"]
        wrong += [f"{path} vanished" for path in seen.keys() - found.keys()]
        for path in seen.keys() & found.keys():
            before, now = seen[path], found[path]
            if before["status"] not in ("pending", "running") and before["status"] != now["status"]:
                wrong.append(f"{path} was {before['status']} and is {now['status']}")
            if not before["results"].items() <= now["results"].items():
                wrong.append(f"{path} had {before['results']} and has {now['results']}")
        seen = found
        rounds += 1
    os.write(tell, json.dumps({"rounds": rounds, "wrong": wrong[:20]}).encode())


class Onlookers:
    """Readers that look on while others are killed, each with an index of its own."""

    def __init__(self, folder: Path, caches: list[Path], fork: Fork) -> None:
        self._gate, self._close = os.pipe()
        self._hear, tell = os.pipe()
        self._pids = [fork(lambda cache=cache: look_on(folder, cache, self._gate, tell)) for cache in caches]  # type: ignore[misc]
        os.close(tell)

    def done(self) -> list[dict[str, Any]]:
        """Return their reports."""
        os.write(self._close, b"." * len(self._pids))
        data = b""
        while chunk := os.read(self._hear, 1 << 16):
            data += chunk
        for pid in self._pids:
            os.waitpid(pid, 0)
        reports = [json.loads(part + "}") for part in data.decode().split("}") if part]
        assert len(reports) == len(self._pids), f"a reader failed: {reports}"
        return reports


def chosen_instant(choice: random.Random) -> None:
    """Wait for any instant: not for synchronisation, but to hit any instruction."""
    select.select([], [], [], choice.random() * 0.02)
