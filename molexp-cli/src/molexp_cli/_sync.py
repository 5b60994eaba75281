"""``molexp sync``: copy a workspace to another place, or merge it into another one."""

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


def sync(
    source: Annotated[
        str, typer.Argument(metavar="SRC", show_default=False, help="The workspace to copy (path or URL).")
    ],
    destination: Annotated[
        str,
        typer.Argument(metavar="DST", show_default=False, help="The destination (path or URL); created if missing."),
    ],
    merge: Annotated[
        bool,
        typer.Option(
            "--merge", help="Add the runs of SRC to DST, even if DST is another workspace and not a copy of SRC."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be copied, and write nothing.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Compare all bytes again, whatever earlier syncs found, and read back what was written."
        ),
    ] = False,
    restore: Annotated[
        list[str] | None,
        typer.Option("--restore", metavar="RUN", help="Copy this run although it was deleted at DST. Repeatable."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="Keep copying new data as it arrives, until you press Ctrl-C."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy to DST what it lacks of SRC, and verify it. The two may be on any kinds of storage.

    You can stop it at any time. Repeat it to resume, and to copy what is new. It never overwrites or deletes anything at
    DST: if both sides have different content under one name, it lists a conflict.

    An unfinished run is copied as it is. At DST it is shown as running elsewhere, with the time of the copy. A run that was
    deleted and freed on one side is not copied back to it, unless --restore names it.

    With --follow it keeps copying, at most ten seconds behind if the storage keeps up. While one side does not answer, it
    says so and tries again. Ctrl-C ends it.

    Exits with 1 if there is a conflict, if bytes differ from the record, or if something cannot be read.

    Examples:
        molexp sync ./lab /archive/lab
        molexp sync ./lab s3://bucket/lab --dry-run
        molexp sync /mnt/laptop/lab ./lab --merge
        molexp sync ./lab /archive/lab --json | jq .conflicts
        molexp sync s3://bucket/lab ./copy --follow
    """
    import molexp

    if follow:
        if dry_run or check or restore:
            raise typer.BadParameter(
                "--follow works only with --merge and --json; sync once with the other options, then follow."
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
    """Print one line for each pass that copied or found something."""
    import molexp

    with _progress() as tell:
        for report in molexp.follow_workspace(source, destination, merge=merge, progress=tell):
            at = datetime.now().astimezone().strftime("%H:%M:%S")
            if report.outage and not as_json:
                say(f"{at} {report.outage} Trying again.")
            else:
                write(molexp.to_json(report) if as_json else f"{at} {report}", now=True)


@contextmanager
def _progress() -> Iterator[Callable[[molexp.SyncProgress], None] | None]:
    """Draw a progress bar, if standard error is a terminal."""
    with bytes_bar("looking") as update:
        if update is None:
            yield None
            return

        def tell(now: molexp.SyncProgress) -> None:
            files = f"{now.files} of {now.total_files} files"
            update(description=files, completed=now.bytes, total=now.total_bytes)

        yield tell
