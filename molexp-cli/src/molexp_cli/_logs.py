"""``molexp logs``: print the logs of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli._options import WorkspaceOption, experiment_named, located
from molexp_cli._output import say, write, write_log
from molexp_cli._points import follow_points, print_points

if TYPE_CHECKING:
    import molexp


def logs(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            show_default=False,
            help="The run's path, the beginning of its id, or @latest. With --follow also an experiment, for all its runs.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="The log to print; metrics, for the points that were logged; or traceback. By default, all logs.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new lines as they arrive, until the run ends.")
    ] = False,
    attempt: Annotated[
        int | None, typer.Option("--attempt", "-a", metavar="N", min=1, help="Print only what attempt N wrote.")
    ] = None,
    tail: Annotated[
        int | None,
        typer.Option("--tail", "-n", metavar="N", min=0, help="Begin with the last N lines of each log."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, one object for each line of a log.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print the logs of a run. If several attempts wrote a log, print it attempt by attempt.

    A file or another program gets the bytes unchanged. On a terminal, colours are left out and control characters are
    escaped. If there are several logs, each has its name above it, as `tail` does, with the attempt if there are several.

    If you follow an experiment, each line begins with the id of its run. It ends when no run goes on.

    Examples:
        molexp logs metals/cu/cu-large
        molexp logs @latest stdout --follow
        molexp logs @latest --tail 20
        molexp logs metals/cu --follow
        molexp logs @latest metrics --follow
        molexp logs @latest traceback
        molexp logs @latest metrics --attempt 2
        molexp logs @latest --json | jq -r 'select(.log == "stderr").line'
    """
    import molexp

    opened = located(ctx, workspace)
    if follow and name is not None and name in _OTHERS and (grows := _grows(opened, run, name)):
        grows(opened, run, attempt, tail, as_json)
        return
    if follow and (experiment := experiment_named(opened, run)) is not None:
        _follow(opened, experiment, name, tail, as_json)
        return
    found = opened.run(run)
    logs = found.logs
    if name in _OTHERS and name not in logs and not follow:
        _OTHERS[name](found, attempt, tail, as_json)
        return
    several = name is None and (follow or len(logs) > 1)
    resumed = attempt is None and any(log.earlier for log in logs.values())
    shown: tuple[str, int] | None = None
    for line in molexp.read_logs(found, name, follow=follow, attempt=attempt, lines=as_json, tail=tail):
        if as_json:
            _write_json(follow, log=line.log, attempt=line.attempt, line=line.text)
            continue
        part = line.log, line.attempt if resumed else 1
        if several and part != shown:
            which = f"{line.log} (attempt {line.attempt})" if resumed else line.log
            write(f"{'' if shown is None else chr(10)}==> {which} <==")
            shown = part
        write_log(line.data, now=follow)
    if not logs and not as_json and not found.logs:
        from molexp.submissions import job_output

        output = job_output(found)
        say(f"{found.path} has no logs{f'; what its job printed is in {output}' if output else ''}.")


def _grows(opened: molexp.Workspace, path: str, name: str) -> Callable[..., None] | None:
    """Return what follows something that is no log; None if the run has a log of this name.

    Raises:
        BadParameter: it does not grow.
    """
    if experiment_named(opened, path) is None and name in opened.run(path).logs:
        return None
    if name != "metrics":
        raise typer.BadParameter(f"A {name} does not grow. Leave out --follow.")
    return follow_points


def _write_json(now: bool, **facts: Any) -> None:
    import molexp

    write(molexp.to_json(facts), now=now)


def _follow(
    opened: molexp.Workspace, experiment: molexp.Experiment, name: str | None, tail: int | None, as_json: bool
) -> None:
    """Print new lines of all runs that go on, each behind the short id of its run, and the log's name if there are several."""
    import molexp

    short: dict[str, str] = {}
    for run, line in molexp.follow_logs(experiment, name, tail=tail):
        if as_json:
            _write_json(True, run=run.path, log=line.log, attempt=line.attempt, line=line.text)
            continue
        if run.path not in short:
            short.update(opened.catalog.short_ids([run]))
        which = short[run.path] if name is not None else f"{short[run.path]} {line.log}"
        write(f"{which}: ", end="")
        write_log(line.data.rstrip(b"\r\n") + b"\n", now=True)
    if not short and not as_json:
        say(f"No run of {experiment.path} goes on.")


def _traceback(run: molexp.Run, attempt: int | None, tail: int | None, as_json: bool) -> None:
    """Print the tracebacks of what failed, whole."""
    found = False
    for asset in run.assets:
        of = asset.producer.attempt if asset.producer else None
        if asset.kind != "error_trace" or attempt not in (None, of):
            continue
        found = True
        data = asset.read_bytes()
        lines = data.splitlines(keepends=True)
        lines = lines[len(lines) - tail :] if tail is not None and tail < len(lines) else lines
        if as_json:
            for line in lines:
                _write_json(False, log=asset.name, attempt=of, line=line.decode(errors="replace").rstrip("\r\n"))
        else:
            write_log(b"".join(lines))
    if not found:
        say(f"{run.path} has no traceback{f' of attempt {attempt}' if attempt else ''}.")


_OTHERS: Mapping[str | None, Callable[[molexp.Run, int | None, int | None, bool], None]] = {
    "metrics": print_points,
    "traceback": _traceback,
}
