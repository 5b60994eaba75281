"""Runs of the past, as an experiment records them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Generic, TypeVar

RunT = TypeVar("RunT")


class PastRuns(Generic[RunT]):
    """Records runs that were executed before anybody recorded them."""

    def record_past_run(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        replica: int = 0,
        status: str = "succeeded",
        reason: str = "",
        started_at: datetime | str | float | None = None,
        ended_at: datetime | str | float | None = None,
        results: Mapping[str, Any] | None = None,
        files: Mapping[str, str | os.PathLike[str]] | None = None,
        metrics: Iterable[Mapping[str, Any]] = (),
        link: bool = False,
        origin: str | os.PathLike[str] | None = None,
        tags: Iterable[str] = (),
    ) -> RunT:
        """Record a run that was executed before, elsewhere or without MolExp, and return it.

        It has one attempt, which names no host, code or packages: nobody knows them. ``run.to_dict()["imported_from"]`` has
        the origin, and who recorded it, where, when and by which command. If this is interrupted, the run says so, and the
        next call records all of it. A call for a run that is on record from the same origin changes nothing.

        Args:
            parameters: its own parameters, over the experiment's params.
            id: its id; without one, the id follows from parameters and replica, as in `derived_run`.
            replica: its replica index, from 0.
            status: ``succeeded``, ``failed``, ``cancelled`` or ``interrupted``.
            reason: the reason that it did not succeed, for people.
            started_at: when it began: an aware datetime, an ISO 8601 text, or seconds since 1970. UTC without an offset.
            ended_at: when it ended.
            results: its results, as `Context.set_result` takes them.
            files: local files by names; each becomes an artifact. A character that some system cannot store is quoted.
            metrics: points of its metrics: names to numbers, with a ``step``, and a ``time`` of the same forms as
                ``started_at``, if that is known.
            link: link the files, on the same file system, instead of copying them. They are marked external: a program that
                writes into such a file changes the record.
            origin: the folder or file that all this comes from, or its URL; the record has that without secrets.
            tags: free labels.

        Raises:
            ConflictError: the run was executed, or recorded from another origin, or has other parameters.
            InvalidNameError: an id that no run can have, or a name that no result or no metric can.
            RunBusyError: it is being executed, or recorded by somebody else.
            ValueError: another status, a time that is none, or an end before the start.
            SerializationError: a value that JSON cannot carry; names its path and type.
            TypeError: results that are no mapping, or a point of metrics that is none.
            HashMismatchError: a file changed while it was copied, or storage gives back other bytes.
            UnsupportedOperationError: the store cannot link, or not from where the file lies.

        Example:
            >>> old = exp.record_past_run({"a": 3.9}, ended_at="2021-03-04T05:06:07", results={"energy": -3.1})
            >>> print(old.status, old.created_at)
            succeeded 2021-03-04T05:06:07.000000Z
        """
        recording = import_module("molexp._past.recording")  # above this package, as decision 25 says
        past = recording.Past(
            status, reason, started_at, ended_at, results or {}, files or {}, metrics, link, origin, tags
        )
        run: RunT = recording.record_past_run(self, parameters, past, id=id, replica=replica)
        return run
