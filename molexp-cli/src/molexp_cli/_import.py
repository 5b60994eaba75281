"""``molexp import``: old folders of results become runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from molexp_cli._bars import count_bar
from molexp_cli._failing import FAILED, INTERRUPTED, NOT_FOUND, REFUSED
from molexp_cli._import_pattern import LeftOut, Pattern, spelled
from molexp_cli._import_reading import Old, Rules, UnfitError, picked, read_old
from molexp_cli._options import JsonOption, WorkspaceOption, located, parts_of_experiment
from molexp_cli._output import say, table, write
from molexp_cli._words import counted, moment, settings, size

if TYPE_CHECKING:
    import molexp

_SHOWN = 20  # folders that are told of what was left out
_AT_ONCE = 500  # runs of one question
_NEW, _THERE, _AGAIN = "import", "there", "again"


def _option(name: str, metavar: str, help: str) -> Any:
    return typer.Option(name, metavar=metavar, show_default=False, help=help)


def import_folders(
    ctx: typer.Context,
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="The folder with the old folders.")
    ],
    pattern: Annotated[
        str,
        typer.Argument(
            metavar="PATTERN",
            show_default=False,
            help="The names of the old folders below it, with their parameters in braces.",
        ),
    ],
    to: Annotated[
        str, _option("--to", "PROJECT/EXPERIMENT", "The experiment to put the runs into; created if missing.")
    ],
    params: Annotated[
        str | None, _option("--params", "FILE[:KEY]", "Read parameters from this file in each folder, too.")
    ] = None,
    replica: Annotated[
        str | None, _option("--replica", "NAME", "Take this parameter for the replica's index instead.")
    ] = None,
    results: Annotated[
        list[str] | None, _option("--results", "FILES", "Read results from these files in each folder. Repeatable.")
    ] = None,
    result: Annotated[
        list[str] | None,
        _option("--result", "NAME=KEY", "Record only this of the results: what is at KEY, as NAME. Repeatable."),
    ] = None,
    metrics: Annotated[
        list[str] | None, _option("--metrics", "FILES", "Read metrics from these tables: a row is a point. Repeatable.")
    ] = None,
    status: Annotated[
        str | None, _option("--status", "FILE[:KEY]", "This file says the status, such as 'done' or 'failed'.")
    ] = None,
    exit_code: Annotated[
        str | None, _option("--exit-code", "FILE[:KEY]", "This file says the exit code; 0 is a success.")
    ] = None,
    failed_if: Annotated[
        list[str] | None,
        _option("--failed-if", "FILES[:TEXT]", "Failed if there is such a file, or one with this text. Repeatable."),
    ] = None,
    started: Annotated[
        str | None,
        _option(
            "--started",
            "FILES[:KEY]",
            "Began when this file was changed, or at the time in it. By default, the earliest change of a file.",
        ),
    ] = None,
    ended: Annotated[
        str | None, _option("--ended", "FILES[:KEY]", "The same for the end. By default, the latest change of a file.")
    ] = None,
    files: Annotated[
        list[str] | None, _option("--files", "FILES", "Keep only these files. By default, all. Repeatable.")
    ] = None,
    exclude: Annotated[list[str] | None, _option("--exclude", "FILES", "Do not keep these files. Repeatable.")] = None,
    link: Annotated[
        bool,
        typer.Option("--link/--copy", help="Hard-link the files instead of copying them, on the same file system."),
    ] = False,
    tag: Annotated[list[str] | None, _option("--tag", "TAG", "Tag the runs. Repeatable.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Import nothing if a folder would be left out, or is refused.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Show what would be imported, and write nothing.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Record old folders of results as runs, with their dates, status, results and files.

    PATTERN names the folders, level by level. {name} is a parameter, {name:int}, {name:float} and {name:str} one of a type, and *
    anything. FILES are patterns, too, relative to each folder: '*.json', 'out/**/*.log'.

    Results come from JSON, YAML and TOML files, whose keys are the results, and from tables (.csv, .tsv, .dat, .txt, .jsonl),
    whose last row counts. A run whose results can be read succeeded; without them it was interrupted, because nobody knows why.
    --failed-if, --status and --exit-code know better, in this order.

    The folders stay as they are. The record says where each run comes from, and makes up no host, code or packages. A second
    call adds only what is not there, also after Ctrl-C. What is left out is listed with the reason.

    Examples:
        molexp import old 'a{a:float}_xc{xc}/seed{seed:int}' --to metals/cu --results '*.json'
        molexp import old 'run*' --to metals/cu --params 'params.*' --results energy.csv --dry-run
        molexp import old '{n:int}' --replica n --to metals/cu --params input.yaml:system --exit-code rc.txt --link
        molexp import old 'lr{lr}' --to nets/mlp --metrics train.csv --failed-if '*.err:Traceback' --started run.sh

    Exit codes: 0 every folder that fits is a run now, or was before; 1 some are refused, or could not be recorded; 3 no folder
    fits; 4 something would be left out or is refused, with --strict; 130 Ctrl-C.
    """
    project, name = parts_of_experiment(ctx, to, "--to")
    rules = Rules(
        params=params,
        results=_checked(ctx, results),
        picked=picked(result or ()),
        metrics=_checked(ctx, metrics),
        status=status,
        exit_code=exit_code,
        failed_if=_checked(ctx, failed_if),
        started=started,
        ended=ended,
        files=_checked(ctx, files),
        exclude=_checked(ctx, exclude),
        replica=replica,
    )
    _checked(ctx, [one for one in (params, status, exit_code, started, ended) if one])
    if not (results or status or exit_code or failed_if):
        say("without --results, --status, --exit-code or --failed-if, every folder with a file counts as succeeded")
    there = _there(ctx, workspace, project, name)
    known = _imported(there) if there is not None else {}
    plan = _plan(folder, Pattern(pattern), rules, there)
    actions = [
        _AGAIN if known.get(spelled(old.folder)) is False else _THERE if spelled(old.folder) in known else _NEW
        for old in plan.old
    ]
    if not plan.old and not plan.refused:
        _tell_left_out(plan)
        say(f"no folder in {str(folder)!r} fits {pattern!r}")
        raise typer.Exit(NOT_FOUND)
    if dry_run or (strict and (plan.left_out or plan.refused)):
        _show(plan, actions, as_json)
        if strict and (plan.left_out or plan.refused):
            say("nothing was imported: --strict leaves nothing out")
            raise typer.Exit(REFUSED)
        return
    experiment = located(ctx, workspace, create=True).Project(project).Experiment(name)
    _report(_record(experiment, plan, link=link, tags=tag or ()), plan, as_json)


class _Plan(NamedTuple):
    """The folders that become runs, and what does not; notes are about folders that do.

    Those are refused that would be a run that is there, or that another folder becomes.
    """

    old: list[Old]
    left_out: list[LeftOut]
    notes: list[LeftOut]
    refused: list[LeftOut]


class _Outcome(NamedTuple):
    """The runs that were imported and that were there before, by their folders; and why others could not be recorded."""

    imported: dict[str, str]
    there: dict[str, str]
    failed: dict[str, str]


def _checked(ctx: typer.Context, patterns: Sequence[str] | None) -> list[str]:
    """Return patterns of files; refuse those that lead out of a folder."""
    for pattern in patterns or ():
        name = pattern.partition(":")[0]
        if not name.strip() or os.path.isabs(name) or ".." in Path(name).parts:
            raise typer.BadParameter(f"{pattern!r} is no pattern of files within a folder", ctx=ctx)
    return list(patterns or ())


class _Taken(NamedTuple):
    """A run that is there, or that a folder becomes: the folder, "" if it comes from none; and how it is named."""

    folder: str
    name: str


def _plan(folder: Path, pattern: Pattern, rules: Rules, there: molexp.Experiment | None) -> _Plan:
    import molexp

    plan = _Plan([], [], [], [])
    fitting: dict[Path, tuple[Old, str]] = {}
    for found in pattern.find(Path(os.path.abspath(folder))):
        if isinstance(found, LeftOut):
            plan.left_out.append(found)
            continue
        try:
            old = read_old(found, rules)
            fitting[old.folder] = old, _identity(old.parameters, old.replica)
        except (UnfitError, molexp.SerializationError) as error:
            plan.left_out.append(LeftOut(found.folder, str(error)))
    taken = _taken(there, [old for old, _ in fitting.values()]) if there is not None else {}
    for old, identity in fitting.values():
        this = _Taken(spelled(old.folder), _nearby(old.folder))
        other = taken.setdefault(identity, this)
        if other.folder != this.folder:
            plan.refused.append(
                LeftOut(
                    old.folder,
                    f"it has the same parameters as {other.name}; a further parameter or --replica would tell them apart",
                )
            )
            continue
        plan.old.append(old)
        plan.notes.extend(LeftOut(old.folder, note) for note in old.notes)
    return plan


def _identity(parameters: Any, replica: Any) -> str:
    """Return a text that two runs have in common if they are one.

    Raises:
        SerializationError: there is no such run, for example because a parameter is NaN.
    """
    from molexp.contracts import canonical_json

    return canonical_json([canonical_json(parameters, where="parameters"), replica])


def _there(ctx: typer.Context, workspace: str | None, project: str, name: str) -> molexp.Experiment | None:
    """Return the experiment, if it is there."""
    import molexp

    try:
        return located(ctx, workspace).project(project).experiment(name)
    except molexp.NotFoundError:
        return None


def _rows(experiment: molexp.Experiment, where: str) -> molexp.Rows[molexp.RunRow]:
    return experiment.project.workspace.catalog.runs(where, experiment=experiment.path, archived=True)


def _imported(experiment: molexp.Experiment) -> dict[str, bool]:
    """Return the folders that were imported into an experiment before, and whether to the end."""
    said = [row.document.get("imported_from") or {} for row in _rows(experiment, "imported == true")]
    return {str(one.get("folder") or ""): bool(one.get("at")) for one in said}


def _taken(experiment: molexp.Experiment, old: Sequence[Old]) -> dict[str, _Taken]:
    """Return the runs of an experiment that folders would be, by identity; only these are looked up, however many there are."""
    ids = [experiment.derived_id(one.parameters, replica=one.replica) for one in old]
    found = {}
    for start in range(0, len(ids), _AT_ONCE):
        some = ", ".join(f'"{one}"' for one in ids[start : start + _AT_ONCE])
        for row in _rows(experiment, f'status != "pending" and id in [{some}]'):
            if not row.config:  # others may have the same parameters
                place = str((row.document.get("imported_from") or {}).get("folder") or "")
                name = f"the run {row.path}" + (f", which was imported from {place}" if place else "")
                found[_identity(row.document.get("own_parameters") or {}, row.replica)] = _Taken(place, name)
    return found


def _record(experiment: molexp.Experiment, plan: _Plan, *, link: bool, tags: Sequence[str]) -> _Outcome:
    import molexp

    outcome = _Outcome({}, {}, {})
    began = datetime.now(UTC).replace(tzinfo=None).isoformat()
    try:
        with count_bar("folders", len(plan.old)) as done:
            for old in plan.old:
                folder = spelled(old.folder)
                try:
                    run = _record_one(experiment, old, link=link, tags=tags)
                except (molexp.MolexpError, ValueError, OSError) as error:
                    outcome.failed[folder] = str(error)
                else:
                    said = run.to_dict().get("imported_from") or {}
                    is_ours = said.get("pid") == os.getpid() and str(said.get("at") or "") >= began
                    (outcome.imported if is_ours else outcome.there)[folder] = run.path
                done()
    except KeyboardInterrupt:
        say(f"cancelled: {counted(len(outcome.imported), 'run')} imported; the same command continues")
        raise typer.Exit(INTERRUPTED) from None
    return outcome


def _record_one(experiment: molexp.Experiment, old: Old, *, link: bool, tags: Sequence[str]) -> molexp.Run:
    return experiment.record_past_run(
        old.parameters,
        replica=old.replica,
        status=old.status,
        reason=old.reason,
        started_at=old.started_at,
        ended_at=old.ended_at,
        results=old.results,
        files=old.files,
        metrics=old.metrics,
        link=link,
        origin=old.folder,
        tags=tags,
    )


def _show(plan: _Plan, actions: Sequence[str], as_json: bool) -> None:
    if as_json:
        import molexp

        described = [_described(old, action) for old, action in zip(plan.old, actions, strict=True)]
        write(
            molexp.to_json(
                {
                    "runs": described,
                    "left_out": _listed([*plan.left_out, *plan.refused]),
                    "notes": _listed(plan.notes),
                },
                pretty=True,
            )
        )
        return
    titles = ("FOLDER", "ACTION", "STATUS", "STARTED", "ENDED", "PARAMETERS", "RESULTS", "FILES", "SIZE", "REASON")
    rows = [
        (
            _nearby(old.folder),
            action,
            old.status,
            _moment(old.started_at),
            _moment(old.ended_at),
            settings(old.parameters | ({"replica": old.replica} if old.replica else {})),
            settings(old.results),
            str(len(old.files)),
            size(old.size),
            old.reason,
        )
        for old, action in zip(plan.old, actions, strict=True)
    ]
    table(titles, rows, least=6)
    _tell_left_out(plan)


def _described(old: Old, action: str) -> dict[str, Any]:
    found = {name: getattr(old, name) for name in ("parameters", "replica", "status", "reason", "results", "size")}
    times = {"started_at": _moment(old.started_at), "ended_at": _moment(old.ended_at)}
    return {"folder": spelled(old.folder), "action": action, **found, **times, "files": [*map(spelled, old.files)]}


def _listed(found: Sequence[LeftOut]) -> list[dict[str, str]]:
    return [{"folder": spelled(one.folder), "why": one.why} for one in found]


def _report(outcome: _Outcome, plan: _Plan, as_json: bool) -> None:
    if as_json:
        import molexp

        write(
            molexp.to_json(
                {
                    **outcome._asdict(),
                    "failed": {**outcome.failed, **{spelled(one.folder): one.why for one in plan.refused}},
                    "left_out": _listed(plan.left_out),
                    "notes": _listed(plan.notes),
                },
                pretty=True,
            )
        )
    else:
        statuses = [old.status for old in plan.old if spelled(old.folder) in outcome.imported]
        kinds = ", ".join(
            f"{statuses.count(status)} {status}" for status in dict.fromkeys(sorted(statuses, reverse=True))
        )
        write(f"imported {counted(len(outcome.imported), 'run')}{f': {kinds}' if kinds else ''}")
        if outcome.there:
            write(f"{counted(len(outcome.there), 'folder')} imported before, and left as they are")
        _tell_left_out(plan)
    for folder, why in outcome.failed.items():
        say(f"{_nearby(Path(folder))} could not be recorded: {why}")
    if outcome.failed or plan.refused:
        raise typer.Exit(FAILED)


def _tell_left_out(plan: _Plan) -> None:
    for found, what in ((plan.left_out, " is left out"), (plan.refused, " is refused"), (plan.notes, "")):
        for one in found[:_SHOWN]:
            say(f"{_nearby(one.folder)}{what}: {one.why}")
        if len(found) > _SHOWN:
            say(f"and {len(found) - _SHOWN} more; --json lists them")


def _nearby(folder: Path) -> str:
    """Return a folder as it is named from here."""
    try:
        return spelled(folder.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return spelled(folder)


def _moment(time: str | float | None) -> str:
    if isinstance(time, str) or time is None:
        return time or ""
    try:
        return moment(datetime.fromtimestamp(time, UTC))
    except (ValueError, OverflowError, OSError):
        return str(time)
