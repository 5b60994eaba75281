"""``molexp assets get``: copy an asset out of the workspace."""

from __future__ import annotations

from typing import Annotated

import typer

from molexp_cli._bars import pieces_bar
from molexp_cli._failing import REFUSED
from molexp_cli._options import AssetArgument, JsonOption, WorkspaceOption, located
from molexp_cli._output import say, write, write_log

STDOUT = "-"


def get_asset(
    ctx: typer.Context,
    of: AssetArgument,
    destination: Annotated[
        str,
        typer.Argument(metavar="[DEST]", help="The file to write, or a folder to put it into; - is standard output."),
    ] = ".",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file by a file, and a folder by a folder.")
    ] = False,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Copy an asset's file or folder to this machine, and print its path.

    MolExp compares the bytes with the hash on record, if there is one. DEST ends up complete, or stays as it was. If a
    download from S3 was interrupted, repeat the command to resume it.

    Examples:
        molexp assets get 'metals/cu/cu-1#1:artifact:volumes.json@1'
        molexp assets get @latest:trajectory.xyz /scratch/ --overwrite
        molexp assets get 'metals:data:reference@2' reference.h5
        molexp assets get @latest:volumes.json - | jq length
    """
    import molexp

    if as_json and destination == STDOUT:
        raise typer.BadParameter("standard output cannot carry both the bytes and JSON.", param_hint="--json")
    asset = located(ctx, workspace).asset(of)
    with pieces_bar(asset.name, asset.size) as tell:
        if destination == STDOUT:
            asset.copy_to(_Stdout(), progress=tell)
            return
        try:
            path = asset.download(destination, overwrite=overwrite, progress=tell)
        except FileExistsError as error:
            say(f"{str(error.filename)!r} exists already; add --overwrite to replace it.")
            raise typer.Exit(REFUSED) from None
    write(molexp.to_json({**asset.to_dict(), "path": path}, pretty=True) if as_json else str(path))


class _Stdout:
    """Standard output. Its reader may go away, and a terminal gets text."""

    def write(self, data: bytes, /) -> None:
        """Write all of the data."""
        write_log(data)
