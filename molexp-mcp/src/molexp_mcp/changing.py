"""Change what the person who started the server allows: tags and notes, and sweeps by a bound workflow."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from molexp_mcp.answers import Answer, table
from molexp_mcp.inspecting import bound
from molexp_mcp.permissions import Permissions
from molexp_mcp.workspaces import Workspaces

_POINTS = 1000  # of one sweep


def annotate_runs(
    workspaces: Workspaces,
    permissions: Permissions,
    runs: Sequence[str],
    tags: Sequence[str],
    untag: Sequence[str],
    note: str,
    workspace: str | None,
) -> Answer:
    """Tag runs, take tags away, and write a note."""
    opened = workspaces.get(workspace)
    if not (tags or untag or note.strip()):
        raise ValueError("There is nothing to write: give `tags`, `untag` or `note`.")
    found = [opened.run(run) for run in runs]
    for run in found:
        permissions.check(run.path)
    for run in found:
        run.annotate(tags=tags, untag=untag, note=note.strip() or None)
    answer = Answer()
    answer.say(f"{len(found)} runs annotated:")
    answer.data(run.path for run in found)
    return answer


def sweep(
    workspaces: Workspaces,
    permissions: Permissions,
    experiment: str,
    space: Mapping[str, Sequence[Any]],
    script: str,
    dry_run: bool,
    jobs: int,
    workspace: str | None,
    tokens: int,
) -> Answer:
    """Plan the points of a sweep; if it is no dry run, create their runs and start them in processes of their own."""
    opened, exp = workspaces.get(workspace), workspaces.experiment(experiment, workspace)
    permissions.check(exp.path)
    bound(permissions, exp, script)
    points = _points(space)
    planned = [(point, exp.derived_id(point)) for point in points]
    there = {row.id: str(row.status) for row in opened.catalog.runs(project=exp.project.id, experiment=exp.id)}
    new = [(point, run) for point, run in planned if there.get(run) != "succeeded"]
    answer = Answer(tokens)
    answer.say(f"{len(points)} points: {len(points) - len(new)} succeeded before, {len(new)} are to be executed.")
    lines = table(("run", "status", *space), ((run, there.get(run, "new"), *point.values()) for point, run in planned))
    if dry_run:
        answer.data(lines)
        answer.left_out("Nothing was created. Call again with dry_run=false to execute them.")
        return answer
    paths = [exp.derived_run(point).path for point, _ in new]
    log = _start(opened.url, permissions.script(script), paths, max(1, min(jobs, 8)))
    answer.data(lines)
    answer.left_out(
        f"They were started{f'; what they print is in {log}' if paths else ''}. find_runs shows how they go."
    )
    return answer


def _points(space: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    if not space or not all(isinstance(values, list | tuple) and values for values in space.values()):
        raise ValueError('Give `space` as names with lists of values, such as {"a": [3.5, 3.6]}.')
    count = 1
    for values in space.values():
        count *= len(values)
    if count > _POINTS:
        raise ValueError(f"{count} points are too many for one sweep; {_POINTS} are allowed.")
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*space.values())]


def _start(url: str, script: Path, paths: Sequence[str], jobs: int) -> Path:
    """Start processes that execute the runs and outlive this one."""
    folder = Path(tempfile.mkdtemp(prefix="molexp-sweep-"))
    own: dict[str, Any] = {"creationflags": 0x00000208} if sys.platform == "win32" else {"start_new_session": True}
    for number in range(jobs):
        if not (share := paths[number::jobs]):
            continue
        command = [
            sys.executable,
            "-m",
            "molexp_cli",
            "-w",
            url,
            "execute",
            *share,
            "--script",
            str(script),
            "--skip-done",
        ]
        with (folder / f"{number}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=script.parent, **own
            )
        threading.Thread(target=process.wait, daemon=True).start()  # or it stays a zombie while this server lives
    return folder
