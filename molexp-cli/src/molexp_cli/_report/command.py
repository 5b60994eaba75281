"""``molexp report``: write one HTML file that shows runs."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from molexp_cli import __version__, _words
from molexp_cli._files import refuse_existing, written
from molexp_cli._options import JsonOption, WhereArgument, WorkspaceOption, located
from molexp_cli._output import say, write
from molexp_cli._runs import name_unknown

_SMALLEST = 0.2  # MB
_OVERHEAD = 80 << 10  # bytes of a page without its document


def report(
    ctx: typer.Context,
    where: WhereArgument = None,
    target: Annotated[Path, typer.Option("-o", "--save", metavar="FILE", help="The file to write.")] = Path(
        "report.html"
    ),
    archived: Annotated[bool, typer.Option("--archived", help="Include archived runs.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", metavar="N", min=1, help="Show at most N runs, the newest.")
    ] = 5000,
    size: Annotated[
        float, typer.Option("--size", metavar="MB", min=_SMALLEST, help="Keep the file below so many megabytes.")
    ] = 5.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file that is no report.")] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write one HTML file that shows runs to anybody with a browser: it needs no network, no server and no MolExp.

    It has a table that sorts and filters, parameters against results, curves of metrics, images, failures with their
    errors, and the origin of each run. What the size leaves no room for is said in the page: curves have fewer points, of
    which the least and the greatest values are kept, images are thumbnails, and the oldest runs are left out at last.

    Whoever has the file sees parameters, results, notes, errors and names of hosts. The code, uncommitted changes and logs are
    not in it. WHERE is a query, as for `molexp runs list`.

    Set SOURCE_DATE_EPOCH to write another time than the present one into it; the rest depends on the record alone.

    Examples:
        molexp report
        molexp report 'params.a > 3 and status == "succeeded"' -o copper.html
        molexp report 'experiment == "cu"' --size 2 --json | jq .left_out
    """
    import molexp
    from molexp_cli._report.gathering import gather
    from molexp_cli._report.page import MARK, page_of

    refuse_existing(target, overwrite=overwrite, mark=MARK.encode())
    opened = located(ctx, workspace)
    document = gather(opened, where, archived=archived, limit=limit, room=int(size * 1e6) - _OVERHEAD)
    if not document["total"]:
        name_unknown(opened, where)
        say("No run matches, so the report is empty." if where else "There are no runs yet, so the report is empty.")
    data = page_of({**document, "made": {"at": _now(), "by": f"MolExp {__version__}"}}).encode()
    with written(target) as file:
        file.write(data)
    left_out = document["left_out"]
    if as_json:
        answer = {"path": target.resolve(), "bytes": len(data), "runs": document["count"], "left_out": left_out}
        write(molexp.to_json(answer, pretty=True))
        return
    write(str(target))
    say(f"{_words.counted(document['count'], 'run')}, {_words.size(len(data))}.")
    for one in left_out:
        say(f"left out: {one}")


def _now() -> str:
    """Return the time that the report says, in UTC.

    Raises:
        ValueError: SOURCE_DATE_EPOCH is no number of seconds.
    """
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.now(UTC) if given is None else datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"SOURCE_DATE_EPOCH is no number of seconds since 1970: {given!r}.") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
