"""``molexp logs``: what a run wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._options import RunArgument, WorkspaceOption, located
from molexp_cli._output import write, write_log

EPILOG = """
Examples:

\b
  molexp logs metals/cu/cu-large
  molexp logs @latest stdout --follow
  molexp logs @latest --json | jq -r 'select(.log == "stderr").line'
"""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("logs", short_help="Print what a run wrote, as it comes.", epilog=EPILOG)(logs)


def logs(
    ctx: typer.Context,
    run: RunArgument,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="The log; without it, all of them.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines as they come, until the run ends.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, one line of a log in each line.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Print the logs of a run: of each, what its newest attempt wrote.

    A file or another program gets the bytes as they were written. On a terminal colours are left out, and what else it
    would obey is shown as an escape. Several logs have their names above them, as `tail` does it.
    """
    import molexp

    found = located(ctx, workspace).run(run)
    several = name is None and (follow or len(found.logs) > 1)
    shown: str | None = None
    for line in molexp.read_logs(found, name, follow=follow):
        if as_json:
            write(molexp.to_json({"log": line.log, "line": line.text}), now=follow)
            continue
        if several and line.log != shown:
            write(f"{'' if shown is None else chr(10)}==> {line.log} <==")
            shown = line.log
        write_log(line.data, now=follow)
