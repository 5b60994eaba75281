"""``molexp fsck``: a workspace is searched for what should not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from molexp_cli._bars import bytes_bar
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import say, tell_report

EPILOG = """
Examples:

\b
  molexp fsck
  molexp fsck --repair
  molexp -w s3://bucket/lab fsck --read-data
  molexp fsck --json | jq '.findings[].key'
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fsck", short_help="Look for what cannot be read, is missing, or has changed.", epilog=EPILOG)(fsck)


def fsck(
    ctx: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Mend what is said twice: write damaged documents again as the rest of the record has them; send what dead "
            "writers left.",
        ),
    ] = False,
    read_data: Annotated[
        bool,
        typer.Option("--read-data", help="Read all bytes and compare their hashes, instead of their number only."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="With --read-data: begin anew, and not where it was interrupted.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Read all records and look at all files: name what cannot be read, is missing, has changed, came late, or is foreign.

    Without --repair nothing is written. --read-data may take long: stop it at any time, and the next one goes on where it
    was. Exits with 1 if anything was found that is still so.
    """
    import molexp

    if restart and not read_data:
        raise typer.BadParameter("--restart is about --read-data, which was not asked for.")
    try:
        opened = located(ctx, workspace)
    except molexp.NotFoundError:
        opened = located(ctx, workspace, create=True)
        if not opened.projects.ids():  # else its workspace.json is what is missing
            raise
    with _progress(read_data) as tell:
        report = opened.fsck(repair=repair, read_data=read_data, restart=restart, progress=tell)
    if not (repair or report.ok):
        say("`molexp fsck --repair` mends what the rest of the record repeats.")
    tell_report(report, as_json=as_json)


@contextmanager
def _progress(wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on standard error, if somebody looks at it."""
    if not wanted:
        yield None
        return
    with bytes_bar("reading") as update:
        yield None if update is None else lambda done, total: update(completed=done, total=total)
