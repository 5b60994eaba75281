"""``molexp fsck``: check a workspace for damage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from molexp_cli._bars import bytes_bar
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import say, tell_report


def fsck(
    ctx: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Repair what the record repeats elsewhere: rewrite damaged documents, and write what killed processes had "
            "not sent yet.",
        ),
    ] = False,
    read_data: Annotated[
        bool,
        typer.Option("--read-data", help="Read all files and compare their hashes, not only their sizes."),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="With --read-data: start over instead of resuming.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Read all records and check all files: report those that are unreadable, missing, changed, late or foreign.

    Without --repair nothing is written. --read-data may take long: you can stop it at any time, and the next call resumes.
    Exits with 1 if a problem remains.

    Examples:
        molexp fsck
        molexp fsck --repair
        molexp -w s3://bucket/lab fsck --read-data
        molexp fsck --json | jq '.findings[].key'
    """
    import molexp

    if restart and not read_data:
        raise typer.BadParameter("--restart needs --read-data")
    try:
        opened = located(ctx, workspace)
    except molexp.NotFoundError:
        opened = located(ctx, workspace, create=True)
        if not opened.projects.ids():  # it is a workspace if it has projects, and only its workspace.json is missing
            raise
    with _progress(read_data) as tell:
        report = opened.fsck(repair=repair, read_data=read_data, restart=restart, progress=tell)
    if not (repair or report.ok):
        say("`molexp fsck --repair` repairs what the rest of the record repeats.")
    tell_report(report, as_json=as_json)


@contextmanager
def _progress(wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Draw a progress bar, if standard error is a terminal."""
    if not wanted:
        yield None
        return
    with bytes_bar("reading") as update:
        yield None if update is None else lambda done, total: update(completed=done, total=total)
