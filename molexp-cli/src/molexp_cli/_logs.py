"""``molexp logs``: print the logs of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._options import RunArgument, WorkspaceOption, located
from molexp_cli._output import write, write_log


def logs(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="The log to print. By default, all of them.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print new lines as they arrive, until the run ends.")
    ] = False,
    attempt: Annotated[
        int | None, typer.Option("--attempt", "-a", metavar="N", min=1, help="Print only what attempt N wrote.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, one object for each line of a log.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print the logs of a run. If several attempts wrote a log, print it attempt by attempt.

    A file or another program gets the bytes unchanged. On a terminal, colours are left out and control characters are
    escaped. If there are several logs, each has its name above it, as `tail` does, with the attempt if there are several.

    Examples:
        molexp logs metals/cu/cu-large
        molexp logs @latest stdout --follow
        molexp logs @latest --json | jq -r 'select(.log == "stderr").line'
    """
    import molexp

    found = located(ctx, workspace).run(run)
    logs = found.logs
    several = name is None and (follow or len(logs) > 1)
    resumed = attempt is None and any(log.earlier for log in logs.values())
    shown: tuple[str, int] | None = None
    for line in molexp.read_logs(found, name, follow=follow, attempt=attempt, lines=as_json):
        if as_json:
            write(molexp.to_json({"log": line.log, "attempt": line.attempt, "line": line.text}), now=follow)
            continue
        part = line.log, line.attempt if resumed else 1
        if several and part != shown:
            which = f"{line.log} (attempt {line.attempt})" if resumed else line.log
            write(f"{'' if shown is None else chr(10)}==> {which} <==")
            shown = part
        write_log(line.data, now=follow)
