"""The command ``molexp mcp``."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

import molexp as me
from molexp_mcp.permissions import Permissions


def mcp(
    ctx: typer.Context,
    workspace: Annotated[
        list[str] | None,
        typer.Option("--workspace", "-w", metavar="URL", help="Answer from this workspace. Repeatable."),
    ] = None,
    http: Annotated[bool, typer.Option("--http", help="Serve streamable HTTP instead of standard input.")] = False,
    host: Annotated[str, typer.Option(help="With --http: listen here.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="With --http: listen on this port.", min=0, max=65535)] = 8765,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let assistants tag, note and sweep in the projects that you name.")
    ] = False,
    project: Annotated[
        list[str] | None, typer.Option(metavar="PROJECT", help="Allow changes in this project. Repeatable.")
    ] = None,
    script: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Allow this script to be imported and executed. Repeatable."),
    ] = None,
) -> None:
    """Serve tools for assistants by the Model Context Protocol, on standard input and output.

    Assistants read the record: they find, compare and explain runs. They change nothing unless you add --allow-changes.

    With --http the address and a token are printed on standard error. A client sends the token as "Authorization: Bearer".

    Examples:
        molexp mcp -w lab
        molexp mcp -w lab --allow-changes --project metals --script train.py
        molexp mcp -w lab -w s3://bucket/lab --http
    """
    permissions = _permissions(ctx, allow_changes, project or [], script or [])
    from molexp_mcp.server import build_server

    given: list[str | None] = [*workspace] if workspace else [ctx.find_root().params.get("workspace")]
    opened = [me.locate_workspace(url) for url in given]
    server = build_server(opened, permissions)
    if not http:
        server.run("stdio")
        return
    from molexp_mcp.http import serve

    token = secrets.token_urlsafe(24)
    serve(server, host, port, token, told=lambda line: typer.echo(line, err=True))


def _permissions(ctx: typer.Context, changes: bool, projects: list[str], scripts: list[Path]) -> Permissions:
    if changes and not projects:
        raise typer.BadParameter("Name the projects that may be changed with --project.", ctx=ctx)
    if projects and not changes:
        raise typer.BadParameter("--project needs --allow-changes.", ctx=ctx)
    for script in scripts:
        if not script.is_file():
            raise typer.BadParameter(f"There is no script {str(script)!r}.", ctx=ctx)
    return Permissions(changes, tuple(projects), tuple(script.resolve() for script in scripts))
