"""Change many runs: which ones, whether you mean it, and what became of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import typer

from molexp_cli import _words
from molexp_cli._bars import count_bar
from molexp_cli._failing import FAILED, answer, code_of, facts
from molexp_cli._options import located
from molexp_cli._output import on_terminal, say, tell_unreadable, write
from molexp_cli._runs import name_unknown

if TYPE_CHECKING:
    import molexp

RunsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN]...",
        show_default=False,
        help="Runs: their paths, the beginnings of their ids, or @latest.",
    ),
]
WhereOption = Annotated[
    str | None,
    typer.Option("--where", metavar="QUERY", show_default=False, help="Take the runs that match this query instead."),
]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="With --where: include archived runs.")]
YesOption = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask, even if the query matches more than one run.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the runs that would be changed, and change nothing.")
]

After: TypeAlias = "Callable[[molexp.Workspace, list[str]], tuple[Mapping[str, Any], Iterable[str]]]"
"""Does something more for the runs that were changed, or left alone; returns fields for JSON, and lines for people."""

_TOLD = 10  # errors that are printed; the rest are counted
_SHOWN = 50  # paths that a terminal shows; of more there is only a line that counts them
_SCOPES = 3  # experiments that a question names


class Deed(NamedTuple):
    """Words for a change of runs, and for the way back.

    Attributes:
        verb: as in "delete 3 runs".
        past: as in "3 runs deleted".
        then: said after it, on a terminal.
        frees: the files of deleted runs are freed afterwards.
    """

    verb: str
    past: str
    then: str = ""
    frees: bool = False


class Unchanged(Exception):  # noqa: N818 - no error: it is raised for a run that a change does not concern
    """Raised by a change that leaves a run alone; its text says why."""


class Chosen(NamedTuple):
    """The options by which runs are chosen, and how sure you are."""

    names: Sequence[str] | None
    where: str | None = None
    archived: bool = False
    yes: bool = False
    dry_run: bool = False
    as_json: bool = False


def change(
    ctx: typer.Context,
    workspace: str | None,
    chosen: Chosen,
    deed: Deed,
    do: Callable[[molexp.Run], object],
    *,
    keep: Callable[[molexp.RunRow], bool] | None = None,
    after: After | None = None,
) -> None:
    """Change the runs that are chosen, print their paths, and exit with the code of the first error if there was one.

    Args:
        ctx: the command.
        workspace: its option ``-w``.
        chosen: its other options.
        deed: the words for the change.
        do: changes one run.
        keep: of the runs that match the query, only these are changed.
        after: called with the paths of the runs that were changed, or that the change does not concern.
    """
    if bool(chosen.names) == (chosen.where is not None):
        raise typer.BadParameter("Name runs, or choose them with --where QUERY: one of the two.", ctx=ctx)
    opened = located(ctx, workspace)
    paths = _matching(opened, chosen, keep) if chosen.where is not None else _named(opened, chosen.names or ())
    if chosen.dry_run:
        _tell_plan(paths, chosen, deed)
        return
    if chosen.where is not None and len(paths) > 1 and not chosen.yes:
        _ask(paths, deed)
        paths = _still_matching(paths, opened, chosen, keep)
    if chosen.where is not None and not paths and not chosen.as_json:
        say(f"No run matches, so nothing was {deed.past}.")
    apply(opened, paths, deed, do, as_json=chosen.as_json, after=after)


def _named(opened: molexp.Workspace, names: Iterable[str]) -> list[str]:
    """Return the paths of named runs, each once. All must exist before the first is changed."""
    return [*dict.fromkeys(opened.run(name).path for name in names)]


def _matching(opened: molexp.Workspace, chosen: Chosen, keep: Callable[[molexp.RunRow], bool] | None) -> list[str]:
    pages = _pages(opened, chosen, keep)
    tell_unreadable(pages.unreadable)
    if pages.archived:
        say(f"{_words.counted(pages.archived, 'archived run')} left out. Add --archived to include them.")
    paths = _paths(pages, keep)
    if not paths:
        name_unknown(opened, chosen.where)
    return paths


def _pages(
    opened: molexp.Workspace, chosen: Chosen, keep: Callable[[molexp.RunRow], bool] | None
) -> molexp.Pages[molexp.RunRow]:
    return opened.catalog.run_pages(chosen.where, archived=chosen.archived or keep is not None)


def _paths(pages: Iterable[molexp.Rows[molexp.RunRow]], keep: Callable[[molexp.RunRow], bool] | None) -> list[str]:
    return [row.path for page in pages for row in page if keep is None or keep(row)]


def _still_matching(
    asked: Sequence[str], opened: molexp.Workspace, chosen: Chosen, keep: Callable[[molexp.RunRow], bool] | None
) -> list[str]:
    """Return the runs that you were asked about and that match after your answer, too: runs may have changed meanwhile."""
    now = {*_paths(_pages(opened, chosen, keep), keep)}
    paths = [path for path in asked if path in now]
    if gone := len(asked) - len(paths):
        say(
            f"{_words.counted(gone, 'run')} no longer {'matches' if gone == 1 else 'match'}, and stayed as {'it is' if gone == 1 else 'they are'}."
        )
    return paths


def _tell_plan(paths: Sequence[str], chosen: Chosen, deed: Deed) -> None:
    if chosen.as_json:
        import molexp

        write(molexp.to_json({"dry_run": True, "changed": [*paths], "failed": []}, pretty=True))
        return
    for path in paths:
        write(path)
    say(f"{_words.counted(len(paths), 'run')} would be {deed.past}; nothing was changed.")


def _ask(paths: Sequence[str], deed: Deed) -> None:
    """Return if the change is wanted.

    Raises:
        Exit: it is not.
        BadParameter: there is nobody to ask.
    """
    scopes = dict[str, int]()
    for path in paths:
        above = path.rpartition("/")[0]
        scopes[above] = scopes.get(above, 0) + 1
    named = ", ".join(f"{count} of {scope}" for scope, count in scopes.items())
    where = f"({named})" if len(scopes) <= _SCOPES else f"in {len(scopes)} experiments"
    what = f"{deed.verb} {_words.counted(len(paths), 'run')} {where}"
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise typer.BadParameter(
            f"The query matches {_words.counted(len(paths), 'run')}. Add --yes to {deed.verb} them, or --dry-run to list them."
        )
    confirm(f"{what[0].upper()}{what[1:]}?")


def confirm(question: str) -> None:
    """Ask on the terminal; return if the answer is yes.

    Raises:
        Exit: it is not.
    """
    say(f"{question} [y/N] ", prefix="", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        say("Nothing was changed.", prefix="")
        raise typer.Exit(FAILED)


class _Outcome:
    """Keeps apart the runs that were changed, that were left alone, and that an error kept as they were."""

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.unchanged: dict[str, str] = {}
        self.failed: dict[str, Exception] = {}

    def take(self, path: str, error: Exception | None) -> bool:
        """Note what became of a run; tell whether it was changed."""
        if error is None:
            self.changed.append(path)
        elif isinstance(error, Unchanged):
            self.unchanged[path] = str(error)
        elif code_of(error) is None:
            raise error
        else:
            self.failed[path] = error
        return error is None

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        problems = [{"path": path, **facts(error)} for path, error in self.failed.items()]
        unchanged = {"unchanged": [*self.unchanged]} if self.unchanged else {}
        return {"dry_run": False, "changed": self.changed, "failed": problems, **unchanged}

    def tell(self, deed: Deed, *, many: bool) -> None:
        """Say what is to be said beside the paths of the runs that were changed."""
        for why in [*self.unchanged.values()][:_TOLD]:
            say(why)
        if len(self.unchanged) > _TOLD:
            say(f"and {len(self.unchanged) - _TOLD} more stay as they are")
        tell_errors(self.failed)
        changed, others = len(self.changed), len(self.failed) + len(self.unchanged)
        if many or (self.failed and changed):
            whole = f"{changed} of {changed + others} runs" if others else _words.counted(changed, "run")
            say(f"{whole} {deed.past}." + (f" {deed.then}" if changed and deed.then else ""))


def apply(
    opened: molexp.Workspace,
    paths: Sequence[str],
    deed: Deed,
    do: Callable[[molexp.Run], object],
    *,
    as_json: bool = False,
    after: After | None = None,
) -> None:
    """Change runs, and tell what became of each."""
    import molexp

    many = on_terminal() and len(paths) > _SHOWN
    outcome = _Outcome()
    try:
        with count_bar("runs", len(paths) if many else 0) as advance:
            for path, error in molexp.change_runs(opened, paths, do):
                advance()
                if outcome.take(path, error) and not (as_json or many):
                    write(path)
    except KeyboardInterrupt:
        say(f"Interrupted: {len(outcome.changed)} of {len(paths)} runs {deed.past}.")
        raise
    seen = [*outcome.changed, *outcome.unchanged]
    more, told = after(opened, seen) if after is not None and seen else ({}, [])
    freed = opened.gc(dry_run=False) if deed.frees and outcome.changed else None
    if as_json:
        write(molexp.to_json(outcome.to_dict() | dict(more) | ({"freed": freed} if freed else {}), pretty=True))
    else:
        outcome.tell(deed, many=many)
        for line in told:
            say(line)
        if freed:
            _tell_freed(freed)
    _exit(outcome.failed, freed)


def _exit(failed: dict[str, Exception], freed: molexp.Report | None) -> None:
    """Exit with the code of the first error, or with 1 if something could not be freed, else return."""
    if failed:
        raise typer.Exit(next(code for error in failed.values() if (code := code_of(error)) is not None))
    if freed and not freed.ok:
        raise typer.Exit(FAILED)


def _tell_freed(report: molexp.Report) -> None:
    for finding in report.findings:
        if not finding.done:
            say(f"{finding.key}: {finding.what}")
    say(f"{_words.size(report.counts['bytes'])} freed.")


def tell_errors(failed: dict[str, Exception]) -> None:
    """Print each error once, and the first ones only: all runs may have the same, such as a read-only disk."""
    different = {str(error): error for error in failed.values()}
    for error in [*different.values()][:_TOLD]:
        answer(error, ())
    if len(different) > _TOLD:
        say(f"and {len(different) - _TOLD} more errors; --json has all of them")
