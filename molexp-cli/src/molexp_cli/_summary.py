"""The end of ``molexp run``: how many runs ended how, what failed, and what you can do next."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING

from molexp_cli._output import headline, on_terminal, say, width_of_terminal, wrapped, write
from molexp_cli._words import nearby

if TYPE_CHECKING:
    from molexp.scripts import Drive, Summary

_NAMED = 10  # runs of each sort that are named


def show_summary(drive: Drive, parameters: Mapping[str, str], as_json: bool) -> None:
    """Print what became of the runs of a script.

    Args:
        drive: it executed them.
        parameters: those of runs that did not succeed, by path, formatted.
        as_json: print JSON.
    """
    summary = drive.summary
    if as_json:
        import molexp

        write(molexp.to_json(summary))
        return
    headline(_counted(summary) or "nothing to run")
    failed = {path: status for path, status in summary.ended.items() if status != "succeeded"}
    reasons = {path: summary.reasons.get(path, "").partition("\n")[0] for path in failed}
    told = {path: f"{path}  {status}{': ' + why if (why := reasons[path]) else ''}" for path, status in failed.items()}
    _items(told, parameters)
    _items({path: f"{path}  {who}" for path, who in summary.left.items()})
    _items({path: f"{path}  not started: {why.partition(chr(10))[0]}" for path, why in summary.unstarted.items()})
    for path, why in summary.held.items():
        _item(f"{path}  not begun: {why}")
    if summary.changed:
        number = len(summary.changed)
        _line(f"molexp run --changed executes {number} of the skipped runs; they have changed since, or may have")
    _advise(drive, [*failed])


def _counted(summary: Summary) -> str:
    ended = Counter(summary.ended.values())  # in the order in which they ended, which says nothing
    words = Counter({status: ended[status] for status in sorted(ended, key=lambda one: (one != "succeeded", one))})
    others = {"skipped": summary.skipped, "left": summary.left, "not started": summary.unstarted}
    words.update({word: len(runs) for word, runs in {**others, "not begun": summary.waiting}.items()})
    return ", ".join(f"{number} {word}" for word, number in words.items() if number)


def _items(lines: Mapping[str, str], parameters: Mapping[str, str] = MappingProxyType({})) -> None:
    """Print lines about runs, by their paths; of many, the first ones."""
    for path, line in islice(lines.items(), _NAMED):
        _item(line, parameters.get(path, ""))
    if len(lines) > _NAMED:
        write(f"  and {len(lines) - _NAMED} more")


def _item(text: str, parameters: str = "") -> None:
    """Print a line about a run, and its parameters below."""
    _line(f"  {text}")
    if parameters:
        _line(f"    {parameters}")


def _line(text: str) -> None:
    """Print a line, on a terminal broken at blanks."""
    if on_terminal():
        text = "\n".join(wrapped(text, width_of_terminal(), "    "))
    write(text)


def _advise(drive: Drive, failed: list[str]) -> None:
    """Tell how to see more of what failed, how to resume, and where the results are."""
    places: dict[str, list[str]] = {}
    for experiment, _ in drive.script.experiments:
        places.setdefault(nearby(experiment.project.workspace.url), []).append(experiment.path)
    if failed:
        path, _, url = failed[0].partition(" in ")
        place = nearby(url) if url else next(iter(places))
        say(f"show more: molexp -w {shlex.quote(place)} show {path}", prefix="")
        say(f"try again: {_again()}", prefix="")
    if drive.summary.left and "--wait" not in sys.argv:
        say(f"wait:      {shlex.join(['molexp', *sys.argv[1:], '--wait'])}", prefix="")
    if drive.summary.ended and (failed or on_terminal()):  # a log of many calls need not repeat it
        for place, paths in places.items():
            only = f" -e {paths[0]}" if len(paths) == 1 else ""
            say(f"results:   molexp -w {shlex.quote(place)} runs list{only}", prefix="")


def _again() -> str:
    """Return the command that resumes what this one left."""
    words = [word for word in sys.argv[1:] if word not in ("--resume", "--rerun")]
    return shlex.join(["molexp", *words, "--resume"])
