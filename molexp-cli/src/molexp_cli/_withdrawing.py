"""The jobs of runs that were cancelled: those that wait are taken from their queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molexp_cli import _words

if TYPE_CHECKING:
    import molexp
    from molexp.submissions import Withdrawn


def withdrawn(opened: molexp.Workspace, paths: list[str]) -> tuple[Mapping[str, Any], Iterable[str]]:
    """Take the jobs of cancelled runs from their queues; returns a field for JSON, and lines for people."""
    from molexp.submissions import withdraw

    found = withdraw(opened, paths)
    return ({"withdrawn": found} if found else {}), map(_line, found)


def _line(one: Withdrawn) -> str:
    runs = _words.counted(len(one.runs), "run")
    if one.why:
        return f"{one.why}\n{runs} of {one.submission} will not begin: the jobs that {one.queue} still has leave them alone."
    if not one.jobs:
        return f"{runs} of {one.submission} will not begin: their jobs have other runs, have begun, or are gone."
    return f"{_words.counted(len(one.jobs), 'job')} of {one.queue} cancelled: {_words.first(one.jobs, _SHOWN, ' ')}"


_SHOWN = 5  # jobs that are named
