"""Queues by their names and options, each made once; and the runs that may be in one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from molexp.contracts import JobState
from molexp.errors import PluginMissingError, ProfileError, QueueError

if TYPE_CHECKING:
    from molexp._hierarchy.run_rows import RunRow
    from molexp._hierarchy.workspace import Workspace
    from molexp._record.submissions import SubmissionFacts
    from molexp.contracts import Queue
    from molexp.plugins import PluginManager

WAITS = (JobState.QUEUED, JobState.HELD)
"""The states of jobs that have not begun, or are to begin again."""


class Queues:
    """Queues by name and options.

    Args:
        plugins: those who have them.
    """

    def __init__(self, plugins: PluginManager) -> None:
        self._plugins = plugins
        self._made: dict[tuple[str, str], Queue] = {}

    def get(self, name: str, options: Mapping[str, Any]) -> Queue:
        """Return a queue.

        Raises:
            PluginMissingError: there is none of this name; with the nearest names.
            ProfileError: it does not take these options.
        """
        key = name, json.dumps(dict(options), sort_keys=True, default=repr)
        if key not in self._made:
            kind = self._plugins.queue(name)
            try:
                self._made[key] = kind(**options)
            except (TypeError, ValueError) as error:
                raise ProfileError(
                    "", f"the queue {name!r} does not take scheduler={dict(options)!r}: {error}"
                ) from error
        return self._made[key]

    def of(self, one: SubmissionFacts, url: str) -> Queue:
        """Return the queue that a submission was made with, if it asks the same engine here.

        Args:
            one: the submission.
            url: the URL of the workspace that it is read in.

        Raises:
            QueueError: its jobs are with another engine, or work in another workspace.
            QueueUnavailableError: the engine does not answer.
            PluginMissingError, ProfileError: as `get` does.
        """
        document = one.document
        queue = self.get(document["queue"], document["options"])
        if why := elsewhere(one, url):
            raise QueueError(queue.name, why)
        if (here := queue.engine()) != document["engine"]:
            raise QueueError(queue.name, f"it asks {here!r} here, and these jobs are with {document['engine']!r}")
        return queue

    def name_by(self, config: Mapping[str, Any]) -> str:
        """Return the queue that a profile names: its executor, where there is a queue of that name.

        Raises:
            ProfileError: it names none.
        """
        name = config.get("executor")
        if isinstance(name, str) and name:
            try:
                self._plugins.queue(name)
            except PluginMissingError:
                pass
            else:
                return name
        known = ", ".join(sorted(self._plugins.queues()))
        said = f"the profile's executor is {name!r}, which is no queue" if name else "no queue is named"
        raise ProfileError(
            "", f"{said}; there are {known}", hint="Name one with --queue, or as the profile's 'executor'."
        )


def moved_from(one: SubmissionFacts, url: str) -> str:
    """Return where the jobs of a submission expect its workspace, if nothing is there; "" if it is there, or this is a copy."""
    there = str(one.document["url"])
    if there == url or not there.startswith("file:///"):
        return ""
    try:
        os.lstat(os.fsdecode(unquote_to_bytes(there.removeprefix("file://"))))
    except FileNotFoundError:
        return there
    except (OSError, ValueError):
        pass  # it may be there, in a folder of another user or on a disk that does not answer
    return ""


def elsewhere(one: SubmissionFacts, url: str) -> str:
    """Return why the jobs of a submission do not concern the workspace that it is read in; "" if they do."""
    if moved_from(one, url):
        what = f"its jobs expect the workspace at {one.document['url']}, and nothing is there on this machine"
        advice = f"if it was moved, move it back, or give them up with `molexp cancel --submission {one.id}`"
        return f"{what}: {advice}; if this is a copy, ask where the workspace is"
    return "" if one.document["url"] == url else f"its jobs work in {one.document['url']}, of which this is a copy"


def rows_beside(workspace: Workspace, one: SubmissionFacts) -> Iterator[RunRow]:
    """Yield the rows of all runs of the experiments that a submission has runs of, archived ones, too."""
    for experiment in {run.path.rpartition("/")[0] for run in one.runs}:
        yield from workspace.catalog.runs(experiment=experiment, archived=True)
