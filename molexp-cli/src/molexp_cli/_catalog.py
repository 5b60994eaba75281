"""``molexp catalog``: check and rebuild the index that answers queries."""

from __future__ import annotations

import typer

from molexp_cli._failing import FAILED
from molexp_cli._formats import Format, OutputOption, form_of, write_records
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import table, tell_report, write


def verify(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Read all files, compare the index with them, and report and correct any difference.

    There should be none: the index notices every change of a workspace.

    Examples:
        molexp catalog verify
        molexp catalog verify --json | jq .ok
    """
    tell_report(located(ctx, workspace).catalog.verify(), as_json=as_json)


def rebuild(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Rebuild the index from all files. If files cannot be read, name them and exit with 1.

    Examples:
        molexp catalog rebuild
        molexp -w s3://bucket/lab catalog rebuild
    """
    tell_report(located(ctx, workspace).catalog.rebuild(), as_json=as_json)


def compact(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Fold the journals of finished writers into a snapshot, which new readers start from.

    MolExp also does this on its own. Other processes may continue to write meanwhile.

    Examples:
        molexp catalog compact
        molexp catalog compact --json | jq .counts
    """
    tell_report(located(ctx, workspace).catalog.compact(), as_json=as_json)


def unreadable(
    ctx: typer.Context, output: OutputOption = None, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """List the files that cannot be read, with the reasons; exit with 1 if there are any.

    Answers leave these files out and are otherwise complete. MolExp reads a file again when it changes.

    Examples:
        molexp catalog unreadable
        molexp catalog unreadable --json | jq -r 'keys[]'
        molexp catalog unreadable --output jsonl
    """
    import molexp

    found = located(ctx, workspace).catalog.unreadable()
    form = form_of(output, as_json)
    if form is Format.JSON:
        write(molexp.to_json(dict(found), pretty=True))
    elif form is Format.TABLE:
        table(("KEY", "REASON"), found.items())
    else:
        write_records(form, [{"key": key, "reason": reason} for key, reason in found.items()])
    if found:
        raise typer.Exit(FAILED)
