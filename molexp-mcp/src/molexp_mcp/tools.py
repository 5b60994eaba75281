"""The tools, as assistants see them: names, arguments and descriptions."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from molexp_mcp import changing, finding, inspecting
from molexp_mcp.answers import TOKENS, Answer
from molexp_mcp.permissions import Permissions
from molexp_mcp.workspaces import Workspaces

Name = Annotated[str | None, Field(description="Name of the workspace, if the server has several.")]
Tokens = Annotated[int, Field(description="Length of the answer, about.", ge=200, le=50_000)]
RunName = Annotated[str, Field(description='A run: its path, the beginning of its id, or "@latest".')]
ExperimentName = Annotated[str, Field(description='An experiment, as "project/experiment".')]
Query = Annotated[str, Field(description="A query over fields, such as: params.a > 3 and status == 'failed'.")]


class ReadingTools:
    """Tools that read."""

    def __init__(self, known: Workspaces, permissions: Permissions) -> None:
        self._known, self._permissions = known, permissions

    def describe_workspace(
        self,
        experiment: Annotated[
            str | None, Field(description='Only the fields of this experiment, as "project/experiment".')
        ] = None,
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Describe what is in a workspace: experiments, numbers of runs, and the fields for queries with types and ranges."""
        return finding.describe_workspace(self._known, experiment, workspace, max_tokens)

    def find_runs(
        self,
        query: Query = "",
        experiment: Annotated[
            str | None, Field(description='Only of this experiment, as "project/experiment".')
        ] = None,
        sort: Annotated[
            str | None, Field(description='A field, such as results.energy; "-results.energy" for the largest first.')
        ] = None,
        columns: Annotated[list[str] | None, Field(description="Fields to show; by default those that differ.")] = None,
        limit: Annotated[int, Field(ge=1, le=1000)] = 20,
        archived: Annotated[bool, Field(description="Include archived runs.")] = False,
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """List the runs that match a query, sorted, with the fields that you choose. Says how many match in all."""
        return finding.find_runs(self._known, query, experiment, sort, columns, limit, archived, workspace, max_tokens)

    def show_run(self, run: RunName, workspace: Name = None, max_tokens: Tokens = TOKENS) -> Answer:
        """Show one run: parameters, results, metrics, attempts, tasks, files with their ids, tags, notes and origin."""
        return inspecting.show_run(self._known, run, workspace, max_tokens)

    def compare_runs(
        self,
        runs: Annotated[list[str], Field(description="Runs, by path or beginning of the id.")] = [],  # noqa: B006
        query: Query = "",
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Show the fields in which runs differ: those that you name, those that match a query, or both."""
        return finding.compare_runs(self._known, runs, query, workspace, max_tokens)

    def read_metrics(
        self,
        runs: Annotated[list[str], Field(description="Runs, by path or beginning of the id.", min_length=1)],
        names: Annotated[list[str] | None, Field(description="Names of metrics; by default all.")] = None,
        points: Annotated[int, Field(description="Points of each curve, at most.", ge=4, le=500)] = 20,
        first_step: float | None = None,
        last_step: float | None = None,
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Show curves of metrics over steps, of several runs, thinned so that minima and maxima stay."""
        steps = (first_step, last_step)
        return finding.read_metrics(self._known, runs, names, points, steps, workspace, max_tokens)

    def read_log(
        self,
        run: RunName,
        log: Annotated[str | None, Field(description="Name of the log; by default the main or last one.")] = None,
        lines: Annotated[int, Field(ge=1, le=1000)] = 50,
        contains: Annotated[str, Field(description="Only lines that contain this text.")] = "",
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Read the last lines of a log of a run, or its last lines that contain a text."""
        return inspecting.read_log(self._known, run, log, lines, contains, workspace, max_tokens)

    def read_asset(
        self,
        asset: Annotated[str, Field(description="The id of an asset, or its name if you give a run.")],
        run: Annotated[str | None, Field(description="The run whose asset it is.")] = None,
        offset: Annotated[int, Field(description="Begin at this byte.", ge=0)] = 0,
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Read the beginning of a file of a run, or describe it if it is no text."""
        return inspecting.read_asset(self._known, asset, run, offset, workspace, max_tokens)

    def trace_lineage(
        self,
        of: Annotated[str, Field(description="A run, or the id of an asset.")],
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Show what a run or an asset was made from, and what was made from it."""
        return inspecting.trace_lineage(self._known, of, workspace, max_tokens)

    def explain_failure(self, run: RunName, workspace: Name = None, max_tokens: Tokens = TOKENS) -> Answer:
        """Explain why a run did not succeed: error, traceback, ends of logs, and how it differs from the nearest success."""
        return inspecting.explain_failure(self._known, run, workspace, max_tokens)

    def describe_workflow(
        self,
        experiment: ExperimentName,
        script: Annotated[
            str | None, Field(description="Import this script, if the server allows it, for the workflow as it is now.")
        ] = None,
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Show the tasks of an experiment's workflow, how they depend on each other, and the experiment's parameters."""
        return inspecting.describe_workflow(self._known, self._permissions, experiment, script, workspace, max_tokens)


class ChangingTools:
    """Tools that change what the server allows."""

    def __init__(self, known: Workspaces, permissions: Permissions) -> None:
        self._known, self._permissions = known, permissions

    def annotate_runs(
        self,
        runs: Annotated[list[str], Field(description="Runs, by path or beginning of the id.", min_length=1)],
        tags: Annotated[list[str], Field(description="Tags to add.")] = [],  # noqa: B006
        untag: Annotated[list[str], Field(description="Tags to take away.")] = [],  # noqa: B006
        note: Annotated[str, Field(description="A note to add.")] = "",
        workspace: Name = None,
    ) -> Answer:
        """Tag runs, take tags away, or add a note; only in the projects that the server allows."""
        return changing.annotate_runs(self._known, self._permissions, runs, tags, untag, note, workspace)

    def sweep(
        self,
        experiment: ExperimentName,
        space: Annotated[
            dict[str, list[Any]],
            Field(description='Values by parameter: {"a": [3.5, 3.6]}. All combinations are taken.'),
        ],
        script: Annotated[str, Field(description="The script that binds the workflow; the server must allow it.")],
        dry_run: Annotated[bool, Field(description="Only show what would be executed. Do this first.")] = True,
        jobs: Annotated[int, Field(description="Processes.", ge=1, le=8)] = 1,
        workspace: Name = None,
        max_tokens: Tokens = TOKENS,
    ) -> Answer:
        """Execute the workflow of an experiment for new parameters; points that succeeded before are skipped."""
        return changing.sweep(
            self._known, self._permissions, experiment, space, script, dry_run, jobs, workspace, max_tokens
        )
