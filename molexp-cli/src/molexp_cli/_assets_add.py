"""``molexp assets add``: import a file or folder as data of a workspace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from molexp_cli._bars import pieces_bar
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import write


def add_asset(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_FOLDER", show_default=False, help="The file or folder to import, or s3://BUCKET/KEY."
        ),
    ],
    scope: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="SCOPE",
            show_default=False,
            help="Add the data to a project (metals), an experiment (metals/cu) or the workspace (.).",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            show_default=False,
            help="Name of the data, under which runs find it. By default, the name of the file.",
        ),
    ] = None,
    move: Annotated[bool, typer.Option("--move", help="Remove the source after the import.")] = False,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", metavar="TAG", help="Tag the data. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Import a file or folder as data of the workspace, a project or an experiment, and print the asset's id.

    Runs in that scope find the data by its name. New content under the same name becomes a new version; earlier versions
    stay. If you import the same content again, the existing version is kept.

    Examples:
        molexp assets add reference.h5 --to metals/cu
        molexp assets add frames/ --to metals --name training-set --tag checked
        molexp assets add features.parquet --to . --move
        molexp assets add s3://bucket/reference.h5 --to metals
        id=$(molexp assets add features.parquet --to metals)
    """
    import molexp

    data = located(ctx, workspace).data_assets_of(scope)
    path = Path(os.path.abspath(os.path.expanduser(source)))
    remote = "://" in source
    action: Literal["move", "copy"] = "move" if move else "copy"
    with pieces_bar(path.name, None if remote else _size(path)) as tell:
        asset = data.import_asset(
            name if name is not None else path.name,
            source if remote else path,
            action=action,
            tags=tag or (),
            progress=tell,
        )
    write(molexp.to_json(asset.to_dict(), pretty=True) if as_json else asset.id)


def _size(path: Path) -> int | None:
    """Return the bytes of a file, or of all files in a folder; None if the folder has links to folders."""
    if not path.is_dir():
        return path.stat().st_size if path.is_file() else None
    total = 0
    for folder, folders, files in os.walk(path):
        if any(os.path.islink(os.path.join(folder, one)) for one in folders):
            return None
        total += sum(
            os.path.getsize(os.path.join(folder, one)) for one in files if os.path.exists(os.path.join(folder, one))
        )
    return total
