"""``molexp init`` and ``info``: make a workspace, and say what is in one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._listing import of_each_status
from molexp_cli._options import JsonOption, WorkspaceOption, given_workspace, located
from molexp_cli._output import headline, on_terminal, pairs, say, tell_unreadable, write
from molexp_cli._queued import QUEUED, QueuedAsOf

_SHOWN = 4  # processes, or runs of a process, that are named


def init(
    ctx: typer.Context,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]",
            show_default=False,
            help="A folder or a URL. By default, -w, else MOLEXP_WORKSPACE, else the current folder.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", show_default=False, help="A name for people.")
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Make a workspace. If there is one already, nothing is changed, and you are told what it is.

    You need this only to begin with an empty one: a script and `molexp exec` make the workspace that they name.

    Examples:
        molexp init
        molexp init lab --name 'Noble gases'
        molexp init s3://bucket/lab --json
    """
    import molexp

    given = given_workspace(ctx, workspace)
    if path is not None and given is not None:
        raise typer.BadParameter("Give PATH or -w, not both.", ctx=ctx)
    made = molexp.Workspace(path or given or os.environ.get("MOLEXP_WORKSPACE") or ".", name=name)
    there = _is_there(made.url)
    made.materialize()
    if as_json:
        write(molexp.to_json({"url": made.url, "id": made.id, "name": made.name, "created": not there}, pretty=True))
        return
    place = _words.place(made.url)
    if not there:
        write(f"Made the workspace {place}")
        return
    totals = made.catalog.totals()
    count = sum(one.runs + one.archived for one in totals)
    write(f"The workspace {place} is there already, with {_words.counted(count, 'run')}")
    if name is not None and name != made.name:
        say(f"Its name stays {made.name!r}." if made.name else "It has no name, and stays without one.")


def _is_there(url: str) -> bool:
    import molexp

    try:
        molexp.Workspace.load(url)
    except molexp.NotFoundError:
        return False
    return True


def info(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show what is in the workspace: projects, experiments and runs, its size, who writes to it now, and how it is stored.

    Examples:
        molexp info
        molexp -w s3://bucket/lab info
        molexp info --json | jq .statuses
    """
    import molexp

    opened = located(ctx, workspace)
    found = molexp.describe_workspace(opened)
    tell_unreadable(found["unreadable"])
    queued = QueuedAsOf(opened)
    has_queued = QUEUED in found["statuses"]
    if as_json:
        write(molexp.to_json({**found, **({"queued_as_of": queued.oldest} if has_queued else {})}, pretty=True))
        return
    headline(_words.place(found["url"]))
    pairs(_lines(found))
    queued.tell(seen=has_queued)


def status(ctx: typer.Context, as_json: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Show what is in the workspace. It is the same as `molexp info`.

    Examples:
        molexp status
        molexp -w lab status --json
    """
    info(ctx, as_json, workspace)


def _lines(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if found["name"]:
        yield "name", str(found["name"])
    yield "projects", str(found["projects"])
    yield "experiments", str(found["experiments"])
    statuses = of_each_status(found["statuses"])
    archived = f"{found['archived']} archived" if found["archived"] else ""
    told = "; ".join(filter(None, (statuses, archived)))
    yield "runs", f"{found['runs']}{f' ({told})' if told else ''}"
    yield "size", _words.size(found["size"])
    if newest := found["newest"]:
        created = _words.age(newest["created_at"]) if on_terminal() else _words.moment(newest["created_at"])
        yield "newest", f"{newest['path']}, {created}"
    writers = found["writers"]
    yield "writing", "\n".join([*map(_writer, writers[:_SHOWN]), *_more(writers, "process", "processes")]) or "nobody"
    storage = found["storage"]
    able = ", ".join(storage["capabilities"]) or "objects only"
    yield "storage", f"{found['url'].partition(':')[0]} ({able}); durability {storage['durability']}"
    yield "format", f"version {found['schema']}, made {_words.moment(found['created_at'])}"
    yield "id", str(found["id"])
    if found["settings"]:
        yield "settings", _words.settings(found["settings"])
    if found["read_only"]:
        yield "access", "read only"


def _writer(one: Mapping[str, Any]) -> str:
    runs = one["runs"]
    named = ", ".join([*runs[:_SHOWN], *_more(runs, "more run", "more runs")])
    who = "@".join(str(one[part]) for part in ("user", "host") if one[part]) or "somebody"
    return f"{who}, process {one['pid']}, since {_words.moment(one['since'])}: {named}"


def _more(found: list[Any], one: str, many: str) -> list[str]:
    left = len(found) - _SHOWN
    return [f"and {left} {one if left == 1 else many}"] if left > 0 else []
