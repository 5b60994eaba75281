"""The command ``molexp ui``."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import molexp as me

if TYPE_CHECKING:
    from molexp_web._export.export import Exported

TOKEN = "MOLEXP_UI_TOKEN"  # noqa: S105 - the name of the variable
_SHORTEST = 16
_PAUSE = 2  # seconds between looks whether a copy is as new as the workspace
_SHARE = 5  # so many times as long as the last look it rests, if that is longer


def ui(
    ctx: typer.Context,
    workspace: Annotated[
        list[str] | None,
        typer.Option("--workspace", "-w", metavar="URL", help="Show this workspace. Repeatable."),
    ] = None,
    host: Annotated[str, typer.Option(help="Listen here; 0.0.0.0 is every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Listen on this port; 0 is any free one.", min=0, max=65535)] = 8000,
    prefix: Annotated[str, typer.Option(metavar="PATH", help="A proxy serves the pages below this path.")] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name by which browsers reach the pages. Repeatable."),
    ] = None,
    allow_changes: Annotated[
        bool,
        typer.Option("--allow-changes", help="Let whoever has the token tag, note, archive, delete and cancel runs."),
    ] = False,
    script: Annotated[
        list[Path] | None,
        typer.Option(
            "--script", metavar="FILE", help="With --allow-changes: let runs be executed by this script. Repeatable."
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    export: Annotated[
        str | None,
        typer.Option("--export", metavar="PLACE", help="Write a copy of the pages to a folder or s3://..., and end."),
    ] = None,
    details: Annotated[
        int, typer.Option(metavar="N", min=0, help="With --export: curves, logs and pictures of the N newest runs.")
    ] = 1000,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="With --export: where pages find the workspace, like ../lab/; found if it lies beside the copy. 'none': nowhere.",
        ),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option("--follow", "-f", help="With --export: keep the copy up to date, until you press Ctrl-C."),
    ] = False,
) -> None:
    """Show workspaces in the browser, and answer programs by an HTTP API.

    It prints an address with a token. Only who has the token gets an answer; a browser keeps it in a cookie. MOLEXP_UI_TOKEN
    sets the token, of at least 16 characters; otherwise each start has a new one.

    Pages and API read the record, and change nothing unless you add --allow-changes. With --script, runs may be executed again
    by the workflow that the script binds; no other script is imported.

    With --export, it serves nothing. It writes a copy that needs no server: open its index.html, or let any web server or bucket show
    it. Export to the same place again, and it writes what is new; pages that are open read that by themselves. With --follow
    it goes on doing so, within seconds of a change in a workspace of usual size. Where the same web server or bucket shows the
    workspace, too, pages read from its files what is new since the export: runs that go on move, and new ones appear.

    Examples:
        molexp ui
        molexp ui -w lab -w s3://bucket/lab --port 0
        molexp ui --host 0.0.0.0 --allow-host lab.example.org
        molexp ui --prefix /molexp --allow-host lab.example.org
        molexp ui -w lab --export site
        molexp ui -w lab --export s3://bucket/site --details 200
        molexp ui -w lab --export /var/www/lab --follow
        molexp ui -w lab --export /var/www/pages --record https://files.example.org/lab/
    """
    given: list[str | None] = [*workspace] if workspace else [ctx.find_root().params.get("workspace")]
    if export is not None:
        if len(given) > 1:
            raise typer.BadParameter("--export writes one workspace: give -w once.", ctx=ctx)
        _export(me.locate_workspace(given[0], read_only=True), export, details, record, follow=follow)
        return
    if record is not None:
        raise typer.BadParameter("--record needs --export: pages that are served read the workspace.", ctx=ctx)
    if follow:
        raise typer.BadParameter("--follow needs --export: pages that are served follow by themselves.", ctx=ctx)
    token = os.environ.pop(TOKEN, "") or secrets.token_urlsafe(24)
    if len(token) < _SHORTEST:
        raise typer.BadParameter(f"{TOKEN} has fewer than {_SHORTEST} characters: others can guess it.", ctx=ctx)
    # It is taken out of the environment: runs that are executed would inherit it, and may print it into logs that others read.
    scripts = _scripts(ctx, allow_changes, script or [])
    from molexp_web._server.application import application, named
    from molexp_web._server.serving import hosts_of, serve

    opened = named([me.locate_workspace(url, read_only=not allow_changes) for url in given])
    hosts = [*hosts_of(host), *(allow_host or ())]
    app = application(opened, token=token, changes=allow_changes, prefix=prefix, hosts=hosts, scripts=scripts)
    serve(app, host, port, token=token, prefix=prefix, show=show, told=lambda line: typer.echo(line, err=True))


def _scripts(ctx: typer.Context, changes: bool, scripts: list[Path]) -> list[Path]:
    if scripts and not changes:
        raise typer.BadParameter("--script needs --allow-changes.", ctx=ctx)
    for script in scripts:
        if not script.is_file():
            raise typer.BadParameter(f"There is no script {str(script)!r}.", ctx=ctx)
    if len({script.name for script in scripts}) < len(scripts):
        raise typer.BadParameter("Two scripts have the same name, by which requests choose one.", ctx=ctx)
    return scripts


def _export(workspace: me.Workspace, place: str, details: int, record: str | None, *, follow: bool) -> None:
    from molexp_web._export.export import export

    try:
        began = time.monotonic()
        done = export(workspace, place, details=details, record=record)
        typer.echo(place)
        _tell(done)
        for one in done.left_out:
            typer.echo(f"left out: {one}", err=True)
        if follow:
            # It is opened anew, which says if it has been deleted: a copy of nothing would take its place.
            _follow(
                lambda: export(
                    me.Workspace.load(workspace.url, read_only=True), place, details=details, record=record, look=False
                ),
                time.monotonic() - began,
            )
    except KeyboardInterrupt:
        if not follow:
            raise


def _follow(again: Callable[[], Exported], took: float) -> None:
    """Export again and again, and rest between."""
    from molexp.errors import UnavailableError

    away = False
    while True:
        threading.Event().wait(max(_PAUSE, _SHARE * took))
        began = time.monotonic()
        try:
            done = again()
        except UnavailableError as error:
            if not away:
                typer.echo(f"{error}\nIt goes on when the storage answers.", err=True)
            away = True
            continue
        away, took = False, time.monotonic() - began
        if done.written:
            _tell(done)


def _tell(done: Exported) -> None:
    counted = "1 run" if done.runs == 1 else f"{done.runs} runs"
    typer.echo(f"{counted}; {done.written} files written, {done.size / 1e6:.1f} MB.", err=True)
