"""Change what the person who started the server allows: tags and notes, and sweeps by a bound workflow."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from molexp_cli.background import execute_in_background
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
    log = execute_in_background(opened.url, permissions.script(script), paths, jobs=max(1, min(jobs, 8)))
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
