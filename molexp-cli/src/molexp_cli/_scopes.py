"""``molexp projects`` and ``molexp experiments``: list, rename, archive and delete them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union

import typer

from molexp_cli import _words
from molexp_cli._bars import count_bar
from molexp_cli._changing import DryRunOption, confirm, tell_errors
from molexp_cli._failing import code_of, facts
from molexp_cli._formats import Format, OutputOption, form_of, write_records
from molexp_cli._ls import Level, experiments_of, projects_of, show_level
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import on_terminal, say, write

if TYPE_CHECKING:
    import molexp

_Scope: TypeAlias = Union["molexp.Project", "molexp.Experiment"]

_Project = Annotated[str, typer.Argument(metavar="PROJECT", show_default=False, help="The project's id.")]
_Projects = Annotated[list[str], typer.Argument(metavar="PROJECT...", show_default=False, help="Ids of projects.")]
_Experiment = Annotated[
    str, typer.Argument(metavar="PROJECT/EXPERIMENT", show_default=False, help="The experiment's path.")
]
_Experiments = Annotated[
    list[str], typer.Argument(metavar="PROJECT/EXPERIMENT...", show_default=False, help="Paths of experiments.")
]
_Name = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The new name: any text.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
_Archived = Annotated[bool, typer.Option("--archived", help="Include those that have archived runs only.")]

_SHOWN = 50  # runs of which a terminal shows a bar


# ------------------------------------------------------------------------------------------------------------ projects


def list_projects(
    ctx: typer.Context,
    archived: _Archived = False,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List projects with their names, and count their experiments and runs.

    Examples:
        molexp projects list
        molexp projects list --json | jq -r '.[].id'
    """
    form = form_of(output, as_json)
    _list("PROJECT", projects_of(located(ctx, workspace), archived), form)


def rename_project(
    ctx: typer.Context, project: _Project, name: _Name, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Give a project another name. Its id and the paths of its runs stay as they are.

    Examples:
        molexp projects rename metals 'Metals and alloys'
        molexp -w lab projects rename noble-gases 'Rare gases'
    """
    _rename(_project(located(ctx, workspace), project), name, as_json)


def archive_projects(
    ctx: typer.Context, projects: _Projects, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Hide projects in lists: archive all of their runs. A run that is made later is shown, and so is the project.

    Examples:
        molexp projects archive metals
        molexp projects archive metals noble-gases
    """
    opened = located(ctx, workspace)
    _archive(opened, [_project(opened, one) for one in projects], archive=True, as_json=as_json)


def unarchive_projects(
    ctx: typer.Context, projects: _Projects, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Show projects in lists again: all of their archived runs.

    Examples:
        molexp projects unarchive metals
        molexp projects unarchive metals noble-gases
    """
    opened = located(ctx, workspace)
    _archive(opened, [_project(opened, one) for one in projects], archive=False, as_json=as_json)


def delete_projects(
    ctx: typer.Context,
    projects: _Projects,
    yes: _Yes = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Delete projects with all of their runs. Until `molexp gc --yes` frees the files, `molexp projects restore` brings them back.

    You are told how many runs there are, and asked. A project with a run that is being executed stays.

    Examples:
        molexp projects delete metals
        molexp projects delete drafts --yes
    """
    opened = located(ctx, workspace)
    _delete(opened, [_project(opened, one) for one in projects], "project", yes, dry_run, as_json)


def restore_projects(
    ctx: typer.Context, projects: _Projects, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Bring back deleted projects, and all of their deleted runs that gc has not freed yet.

    Examples:
        molexp projects restore metals
        molexp projects restore metals noble-gases
    """
    opened = located(ctx, workspace)
    _restore([_project(opened, one) for one in projects], as_json)


# --------------------------------------------------------------------------------------------------------- experiments


def list_experiments(
    ctx: typer.Context,
    project: Annotated[
        str | None, typer.Argument(metavar="[PROJECT]", show_default=False, help="Show only those of this project.")
    ] = None,
    archived: _Archived = False,
    output: OutputOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """List experiments with their names, and count their runs.

    Examples:
        molexp experiments list
        molexp experiments list metals
        molexp experiments list --output csv > experiments.csv
    """
    form = form_of(output, as_json)
    opened = located(ctx, workspace)
    within = [*opened.projects] if project is None else [opened.project(project)]
    _list("EXPERIMENT", experiments_of(opened, within, archived), form)


def rename_experiment(
    ctx: typer.Context,
    experiment: _Experiment,
    name: _Name,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Give an experiment another name. Its id and the paths of its runs stay as they are.

    Examples:
        molexp experiments rename metals/cu 'Copper, PBE'
        molexp -w lab experiments rename metals/ag Silver
    """
    _rename(_experiment(located(ctx, workspace), experiment), name, as_json)


def archive_experiments(
    ctx: typer.Context, experiments: _Experiments, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Hide experiments in lists: archive all of their runs. A run that is made later is shown, and so is the experiment.

    Examples:
        molexp experiments archive metals/cu
        molexp experiments archive metals/cu metals/ag
    """
    opened = located(ctx, workspace)
    _archive(opened, [_experiment(opened, one) for one in experiments], archive=True, as_json=as_json)


def unarchive_experiments(
    ctx: typer.Context, experiments: _Experiments, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Show experiments in lists again: all of their archived runs.

    Examples:
        molexp experiments unarchive metals/cu
        molexp experiments unarchive metals/cu metals/ag
    """
    opened = located(ctx, workspace)
    _archive(opened, [_experiment(opened, one) for one in experiments], archive=False, as_json=as_json)


def delete_experiments(
    ctx: typer.Context,
    experiments: _Experiments,
    yes: _Yes = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Delete experiments with all of their runs. Until `molexp gc --yes` frees the files, `molexp experiments restore` brings them back.

    You are told how many runs there are, and asked. An experiment with a run that is being executed stays.

    Examples:
        molexp experiments delete metals/cu
        molexp experiments delete metals/cu metals/ag --yes
    """
    opened = located(ctx, workspace)
    _delete(opened, [_experiment(opened, one) for one in experiments], "experiment", yes, dry_run, as_json)


def restore_experiments(
    ctx: typer.Context, experiments: _Experiments, as_json: JsonOption = False, workspace: WorkspaceOption = None
) -> None:
    """Bring back deleted experiments, and all of their deleted runs that gc has not freed yet.

    Examples:
        molexp experiments restore metals/cu
        molexp experiments restore metals/cu metals/ag
    """
    opened = located(ctx, workspace)
    _restore([_experiment(opened, one) for one in experiments], as_json)


# -------------------------------------------------------------------------------------------------------------- common


def _project(opened: molexp.Workspace, name: str) -> molexp.Project:
    return opened.project(name.strip("/"))


def _experiment(opened: molexp.Workspace, path: str) -> molexp.Experiment:
    project, slash, experiment = path.strip("/").partition("/")
    if not (slash and experiment and "/" not in experiment):
        raise typer.BadParameter(f"{path!r} is no path of an experiment, such as metals/cu.")
    return opened.project(project).experiment(experiment)


def _list(title: str, entries: list[dict[str, Any]], form: Format) -> None:
    if form is not Format.TABLE:
        write_records(form, entries)
    elif entries:
        names = [{**one, "id": one["path"]} for one in entries]
        show_level(Level(title, names, len(names)))
    else:
        say(f"There are no {title.lower()}s yet.")


def _rename(scope: _Scope, name: str, as_json: bool) -> None:
    import molexp

    if not name.strip():
        raise typer.BadParameter("The name is empty.")
    scope.rename(name)
    write(molexp.to_json({"path": scope.path, "id": scope.id, "name": name}, pretty=True) if as_json else scope.path)


def _restore(scopes: Sequence[_Scope], as_json: bool) -> None:
    import molexp

    for scope in scopes:
        scope.restore()
        if not as_json:
            write(scope.path)
    if as_json:
        write(molexp.to_json({"changed": [scope.path for scope in scopes]}, pretty=True))


def _runs(opened: molexp.Workspace, scope: _Scope, *, archived: bool | None) -> dict[str, bool]:
    """Return the paths of the runs below a scope (archived ones, others, or all with None), and whether each is running."""
    project, _, experiment = scope.path.partition("/")
    pages = opened.catalog.run_pages(project=project, experiment=experiment or None, archived=archived is not False)
    rows = (row for page in pages for row in page if archived is not True or row.document.get("archived") is True)
    return {row.path: row.status == "running" for row in rows}


def _archive(opened: molexp.Workspace, scopes: Sequence[_Scope], *, archive: bool, as_json: bool) -> None:
    import molexp

    of_each = {scope: _runs(opened, scope, archived=not archive) for scope in scopes}
    change = molexp.Run.archive if archive else molexp.Run.unarchive
    _change(opened, of_each, "archived" if archive else "unarchived", change, lambda _: None, as_json=as_json)


def _delete(
    opened: molexp.Workspace, scopes: Sequence[_Scope], what: str, yes: bool, dry_run: bool, as_json: bool
) -> None:
    import molexp

    of_each = {scope: _runs(opened, scope, archived=None) for scope in scopes}
    runs = [path for paths in of_each.values() for path in paths]
    named = f"{what} {scopes[0].path}" if len(of_each) == 1 else _words.counted(len(of_each), what)
    contents = _contents(of_each, len(runs))
    told = f"the {named} with {contents or '0 runs'}"
    if dry_run:
        if as_json:
            found = {
                "dry_run": True,
                "changed": [one.path for one in of_each],
                "runs": len(runs),
                "run_paths": runs,
                "failed": [],
            }
            write(molexp.to_json(found, pretty=True))
        else:
            for scope in of_each:
                write(scope.path)
            say(f"{told[0].upper()}{told[1:]} would be deleted; nothing was changed.")
        return
    if contents and not yes:
        if not (sys.stdin is not None and sys.stdin.isatty()):
            raise typer.BadParameter(f"This deletes {told}. Add --yes to delete it all, or --dry-run to see it.")
        confirm(f"Delete {told}?")
        of_each = {
            scope: _runs(opened, scope, archived=None) for scope in scopes
        }  # one may have been started meanwhile
    _change(opened, of_each, "deleted", _delete_run, _finish_deletion, as_json=as_json, check=_refuse_running)


def _contents(scopes: Iterable[_Scope], runs: int) -> str:
    """Return what is in scopes, in words: "4 runs and 1 data asset". Experiments are named where there are no runs."""
    import molexp

    inside = [one for scope in scopes if isinstance(scope, molexp.Project) for one in scope.experiments]
    data = sum(len(one.data_assets) for one in {one.path: one for one in (*scopes, *inside)}.values())
    counts = {"run": runs, "experiment": 0 if runs else len(inside), "data asset": data}
    return " and ".join(_words.counted(count, what) for what, count in counts.items() if count)


def _delete_run(run: molexp.Run) -> None:
    """Delete a run, unless somebody else did so since it was found."""
    from molexp.errors import NotFoundError

    try:
        run.delete()
    except NotFoundError:
        if run in run.experiment.runs:
            raise


def _finish_deletion(scope: _Scope) -> None:
    scope.delete()


def _refuse_running(run: molexp.Run) -> None:
    """Raise the error of a run that is being executed and so cannot be deleted."""
    if run.status == "running":
        run.delete()


def _change(
    opened: molexp.Workspace,
    of_each: Mapping[_Scope, Mapping[str, bool]],
    past: str,
    change: Callable[[molexp.Run], object],
    finish: Callable[[_Scope], object],
    *,
    as_json: bool,
    check: Callable[[molexp.Run], object] | None = None,
) -> None:
    """Change the runs of scopes, and then each scope all of whose runs were changed; print the paths of these.

    With `check`, nothing in a scope is changed if that fails for a run in it that is running.
    """
    import molexp

    failed: dict[str, Exception] = {}
    changed: list[str] = []
    done: list[str] = []
    total = sum(map(len, of_each.values()))
    with count_bar("runs", total if total > _SHOWN and on_terminal() else 0) as advance:
        for scope, paths in of_each.items():
            running = [path for path, is_running in paths.items() if is_running and check is not None]
            wrong = _failures(molexp.change_runs(opened, running, check or change))
            if not wrong:
                wrong = _failures(_counted(molexp.change_runs(opened, paths, change), advance))
                done += [path for path in paths if path not in wrong]
            if not wrong:
                wrong = _failure_of(finish, scope)
            if not wrong:
                changed.append(scope.path)
            failed |= wrong
    if as_json:
        problems = [{"path": path, **facts(error)} for path, error in failed.items()]
        found = {"dry_run": False, "changed": changed, "runs": len(done), "run_paths": done, "failed": problems}
        write(molexp.to_json(found, pretty=True))
    else:
        for path in changed:
            write(path)
        tell_errors(failed)
        if total or failed:
            whole = f"{len(done)} of {total} runs" if failed else _words.counted(total, "run")
            say(f"{whole} {past}.")
    if failed:
        raise typer.Exit(code_of(next(iter(failed.values()))) or 1)


def _failures(outcomes: Iterable[tuple[str, Exception | None]]) -> dict[str, Exception]:
    """Return the errors of what failed, by path.

    Raises:
        Exception: one that is a bug of ours.
    """
    failed: dict[str, Exception] = {}
    for path, error in outcomes:
        if error is not None:
            if code_of(error) is None:
                raise error
            failed[path] = error
    return failed


def _counted(outcomes: Iterable[molexp.Changed], advance: Callable[[], object]) -> Iterator[molexp.Changed]:
    for outcome in outcomes:
        advance()
        yield outcome


def _failure_of(finish: Callable[[_Scope], object], scope: _Scope) -> dict[str, Exception]:
    from molexp.errors import MolexpError

    try:
        finish(scope)
    except (MolexpError, OSError) as error:
        return {scope.path: error}
    return {}
