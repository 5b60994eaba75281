"""``molexp sync``: a workspace is copied to another place, or merged into another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from molexp_cli._bars import bytes_bar
from molexp_cli._failing import FAILED
from molexp_cli._options import JsonOption
from molexp_cli._output import say, write

if TYPE_CHECKING:
    import molexp

EPILOG = """
Examples:

\b
  molexp sync ./lab /archive/lab
  molexp sync ./lab s3://bucket/lab --dry-run
  molexp sync /mnt/laptop/lab ./lab --merge
  molexp sync ./lab /archive/lab --json | jq .conflicts
  molexp sync s3://bucket/lab ./copy --follow
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("sync", short_help="Copy a workspace to another place, or merge it into one.", epilog=EPILOG)(sync)


def sync(
    source: Annotated[
        str, typer.Argument(metavar="SRC", show_default=False, help="The workspace to copy: path or URL.")
    ],
    destination: Annotated[
        str,
        typer.Argument(metavar="DST", show_default=False, help="Where to: path or URL; created if it is not there."),
    ],
    merge: Annotated[
        bool, typer.Option("--merge", help="DST may be another workspace, no copy of SRC: add SRC's runs to it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; tell what would be copied.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Compare all bytes, whatever earlier syncs found, and read again what was written."
        ),
    ] = False,
    restore: Annotated[
        list[str] | None,
        typer.Option(
            "--restore", metavar="RUN", help="Bring this run of SRC although it was deleted at DST; may be repeated."
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Go on with what comes, some seconds behind, until you press Ctrl-C."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a workspace to another place: what DST lacks of SRC, verified, between any two kinds of storage.

    Stop it at any time, and repeat it: it goes on where it was, and copies what has come since. A run that goes on is
    copied as it is, and shown at DST as running elsewhere, as of then. Nothing at DST is overwritten or deleted. What both have under one name and is
    not the same is listed as a conflict. A run that was deleted and freed on one side is not brought back to it, unless
    --restore names it. With --follow it goes on with what comes, at most ten seconds behind, where the storage keeps up; while
    one side does not answer, it says so and tries again; Ctrl-C ends it. With a conflict, or if bytes are not what the record says, or something cannot be read, it exits
    with 1.
    """
    import molexp

    if follow:
        if dry_run or check or restore:
            raise typer.BadParameter(
                "--follow goes with --merge and --json only; sync once with the others, then follow."
            )
        _follow(source, destination, merge=merge, as_json=as_json)
        return
    with _progress() as tell:
        report = molexp.sync_workspace(
            source, destination, merge=merge, dry_run=dry_run, check=check, restore=restore or (), progress=tell
        )
    write(molexp.to_json(report, pretty=True) if as_json else str(report))
    if not report.ok:
        raise typer.Exit(FAILED)


def _follow(source: str, destination: str, *, merge: bool, as_json: bool) -> None:
    """One line for each pass that brought or found something."""
    import molexp

    with _progress() as tell:
        for report in molexp.follow_workspace(source, destination, merge=merge, progress=tell):
            at = datetime.now().astimezone().strftime("%H:%M:%S")
            if report.outage and not as_json:
                say(f"{at} {report.outage} It is tried again.")
            else:
                write(molexp.to_json(report) if as_json else f"{at} {report}", now=True)


@contextmanager
def _progress() -> Iterator[Callable[[molexp.SyncProgress], None] | None]:
    """A bar on standard error, if somebody looks at it."""
    with bytes_bar("looking") as update:
        if update is None:
            yield None
            return

        def tell(now: molexp.SyncProgress) -> None:
            files = f"{now.files} of {now.total_files} files"
            update(description=files, completed=now.bytes, total=now.total_bytes)

        yield tell
