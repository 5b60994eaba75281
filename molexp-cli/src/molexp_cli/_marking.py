"""``molexp cancel``, ``archive``, ``unarchive``, ``delete`` and ``restore``, and the same for many ``molexp runs``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from molexp_cli._changing import (
    ArchivedOption,
    Chosen,
    Deed,
    DryRunOption,
    RunsArgument,
    Unchanged,
    WhereOption,
    YesOption,
    apply,
    change,
)
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._withdrawing import withdrawn

if TYPE_CHECKING:
    import molexp

_Runs: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        show_default=False,
        help="One or more runs: their paths, the beginnings of their ids, or @latest.",
    ),
]
_Paths: TypeAlias = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", show_default=False, help="Paths of runs, as `molexp delete` printed them."),
]
_Reason: TypeAlias = Annotated[
    str, typer.Option("--reason", metavar="TEXT", show_default=False, help="Record this reason.")
]

_CANCEL = Deed("cancel", "asked to stop")
_ARCHIVE = Deed("archive", "archived")
_UNARCHIVE = Deed("unarchive", "unarchived")
_DELETE = Deed("delete", "deleted", "`molexp restore` brings them back, until `molexp gc --yes` frees their files.")
_RESTORE = Deed("restore", "restored")


def cancel(
    ctx: typer.Context,
    runs: RunsArgument = None,
    reason: _Reason = "",
    submission: Annotated[
        list[str] | None,
        typer.Option(
            "--submission",
            metavar="ID",
            show_default=False,
            help="Cancel all jobs of a submission, as `molexp queue` shows it; all is all of them. Repeatable.",
        ),
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Ask runs to stop. The process that executes a run notices within a minute, and ends it as cancelled.

    A run that was never started is cancelled at once, and so is the copy of a run that continues elsewhere. A run that has
    ended stays as it is, and is named. The job of a queue that waits for a cancelled run, and for no other one, is cancelled, too, if the queue
    can be asked from here; in any case it leaves the run alone.

    Examples:
        molexp cancel metals/cu/cu-large
        molexp cancel metals/cu/cu-large metals/cu/cu-small
        molexp cancel --submission all
    """
    if submission:
        if runs:
            raise typer.BadParameter("name runs, or submissions: one of the two", ctx=ctx)
        from molexp.submissions import cancel_submissions
        from molexp_cli._queue import show_submissions

        wanted = None if submission == ["all"] else submission
        show_submissions(cancel_submissions(located(ctx, workspace), wanted), as_json=as_json)
        return
    change(ctx, workspace, Chosen(runs, as_json=as_json), _CANCEL, partial(_cancel, reason=reason), after=withdrawn)


def archive(ctx: typer.Context, runs: _Runs, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Hide runs in lists, unless you ask for archived ones. All other commands find them as before.

    Examples:
        molexp archive metals/cu/cu-large
        molexp archive metals/cu/cu-large metals/cu/cu-small
    """
    change(ctx, workspace, Chosen(runs, as_json=as_json), _ARCHIVE, lambda run: run.archive())


def unarchive(ctx: typer.Context, runs: _Runs, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show archived runs in lists again.

    Examples:
        molexp unarchive metals/cu/cu-large
        molexp unarchive metals/cu/cu-large metals/cu/cu-small
    """
    change(ctx, workspace, Chosen(runs, as_json=as_json), _UNARCHIVE, lambda run: run.unarchive())


def delete(ctx: typer.Context, runs: _Runs, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Delete runs. Until `molexp gc --yes` frees their files, `molexp restore` brings them back.

    A run that is still running is not deleted; the others that you name are.

    Examples:
        molexp delete metals/cu/cu-large
        molexp delete metals/cu/cu-large metals/cu/cu-small
    """
    change(ctx, workspace, Chosen(runs, as_json=as_json), _DELETE, lambda run: run.delete())


def restore(ctx: typer.Context, runs: _Paths, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Bring back deleted runs that gc has not freed yet. If one cannot be brought back, the others still are.

    Examples:
        molexp restore metals/cu/cu-large
        molexp restore metals/cu/cu-large metals/cu/cu-small
    """
    paths = {path.strip("/").lower(): path for path in runs}
    apply(located(ctx, workspace), [*paths], _RESTORE, lambda run: run.restore(), as_json=as_json)


# --------------------------------------------------------------------------------------------------------- molexp runs


def cancel_runs(
    ctx: typer.Context,
    runs: RunsArgument = None,
    where: WhereOption = None,
    reason: _Reason = "",
    archived: ArchivedOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Ask runs to stop: those that you name, or those that match a query. Runs that have ended stay as they are.

    The process that executes a run notices within a minute, and ends it as cancelled. A run that was never started is
    cancelled at once. A query takes only runs that have not ended.

    Examples:
        molexp runs cancel metals/cu/cu-large
        molexp runs cancel --where 'params.a > 4' --reason 'too large'
        molexp runs cancel --where 'status == "pending"' --yes
    """
    chosen = Chosen(runs, where, archived, yes, dry_run, as_json)
    keep = partial(_is_cancellable, archived=archived)
    change(ctx, workspace, chosen, _CANCEL, partial(_cancel, reason=reason), keep=keep, after=withdrawn)


def archive_runs(
    ctx: typer.Context,
    runs: RunsArgument = None,
    where: WhereOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Hide runs in lists: those that you name, or those that match a query.

    Lists show them with --archived. All other commands find them as before.

    Examples:
        molexp runs archive @latest
        molexp runs archive --where 'status == "failed" and created_at < "2026-01-01"' --dry-run
    """
    chosen = Chosen(runs, where, False, yes, dry_run, as_json)
    change(ctx, workspace, chosen, _ARCHIVE, lambda run: run.archive(), keep=lambda row: not _is_archived(row))


def unarchive_runs(
    ctx: typer.Context,
    runs: RunsArgument = None,
    where: WhereOption = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Show archived runs in lists again: those that you name, or the archived ones that match a query.

    Examples:
        molexp runs unarchive metals/cu/cu-large
        molexp runs unarchive --where 'experiment == "cu"' --yes
    """
    chosen = Chosen(runs, where, True, yes, dry_run, as_json)
    change(ctx, workspace, chosen, _UNARCHIVE, lambda run: run.unarchive(), keep=_is_archived)


def delete_runs(
    ctx: typer.Context,
    runs: RunsArgument = None,
    where: WhereOption = None,
    archived: ArchivedOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    gc: Annotated[
        bool,
        typer.Option("--gc", help="Then free the files of all deleted runs, as `molexp gc --yes` does: for good."),
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Delete runs: those that you name, or those that match a query. Runs that are executed right now stay.

    Until `molexp gc --yes` frees their files, `molexp runs restore` brings them back. It takes the paths that this command
    prints.

    Examples:
        molexp runs delete cu-large cu-small
        molexp runs delete --where 'status == "failed"' --dry-run
        molexp runs delete --where '"draft" in tags' --yes > deleted.txt
        molexp runs delete --where 'params.a > 4' --gc
    """
    chosen = Chosen(runs, where, archived, yes, dry_run, as_json)
    change(ctx, workspace, chosen, _DELETE._replace(then="", frees=True) if gc else _DELETE, lambda run: run.delete())


def restore_runs(
    ctx: typer.Context, runs: _Paths, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Bring back deleted runs that gc has not freed yet, by their whole paths. Queries do not find deleted runs.

    If one cannot be brought back, the others still are.

    Examples:
        molexp runs restore metals/cu/cu-large metals/cu/cu-small
        molexp runs restore $(cat deleted.txt)
    """
    restore(ctx, runs, as_json, workspace)


def tag_runs(
    ctx: typer.Context,
    tag: Annotated[str, typer.Argument(metavar="TAG", show_default=False, help="The tag.")],
    runs: RunsArgument = None,
    where: WhereOption = None,
    archived: ArchivedOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Add a tag to runs: those that you name, or those that match a query.

    Examples:
        molexp runs tag published @latest
        molexp runs tag outlier --where 'results.energy > 0' --yes
        molexp runs list --tag published
    """
    chosen = Chosen(runs, where, archived, yes, dry_run, as_json)
    change(ctx, workspace, chosen, Deed("tag", "tagged"), lambda run: run.annotate(tags=[tag]))


def untag_runs(
    ctx: typer.Context,
    tag: Annotated[str, typer.Argument(metavar="TAG", show_default=False, help="The tag.")],
    runs: RunsArgument = None,
    where: WhereOption = None,
    archived: ArchivedOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Remove a tag from runs: those that you name, or those that match a query.

    Examples:
        molexp runs untag draft @latest
        molexp runs untag draft --where '"draft" in tags' --yes
    """
    chosen = Chosen(runs, where, archived, yes, dry_run, as_json)
    change(ctx, workspace, chosen, Deed("untag", "untagged"), lambda run: run.annotate(untag=[tag]))


def note_runs(
    ctx: typer.Context,
    text: Annotated[str, typer.Argument(metavar="TEXT", show_default=False, help="The note.")],
    runs: RunsArgument = None,
    where: WhereOption = None,
    archived: ArchivedOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Add a note to runs: those that you name, or those that match a query. `molexp show` prints it, queries search it.

    Examples:
        molexp runs note 'the basis set was wrong' @latest
        molexp runs note 'rerun after the fix' --where 'cause == "out_of_memory"' --yes
        molexp runs list 'notes like "%basis%"'
    """
    if not text.strip():
        raise typer.BadParameter("The note is empty.", ctx=ctx, param_hint="TEXT")
    chosen = Chosen(runs, where, archived, yes, dry_run, as_json)
    change(ctx, workspace, chosen, Deed("note", "noted"), lambda run: run.annotate(note=text))


def _cancel(run: molexp.Run, reason: str) -> None:
    """Ask a run to stop.

    Raises:
        Unchanged: it has ended.
    """
    if (status := run.status).finished:
        raise Unchanged(f"{run.path} has ended ({status}), and stays as it is.")
    run.cancel(reason)


def _is_archived(row: molexp.RunRow) -> bool:
    return row.document.get("archived") is True


def _is_cancellable(row: molexp.RunRow, *, archived: bool) -> bool:
    return not row.status.finished and (archived or not _is_archived(row))
