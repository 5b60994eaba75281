"""``molexp assets show``: describe an asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._extending import rendered
from molexp_cli._options import JsonOption, WorkspaceOption, located
from molexp_cli._output import headline, pairs, write

if TYPE_CHECKING:
    import molexp

EPILOG = """
Examples:

\b
  molexp assets show @latest:volumes.json
  molexp assets show 'metals/cu/cu-1#1:artifact:volumes.json@1' --json
"""


def add_to(assets: typer.Typer) -> None:
    """Add the command to the group."""
    assets.command("show", short_help="Describe an asset, with the fields of its kind.", epilog=EPILOG)(show_asset)


def show_asset(
    ctx: typer.Context,
    of: Annotated[
        str,
        typer.Argument(
            metavar="ASSET",
            show_default=False,
            help="The asset's id, from `molexp assets list`, or RUN:NAME for an asset of a run, such as @latest:volumes.json.",
        ),
    ],
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Describe an asset: its description, its fields, its origin, and what a plugin's renderer of its kind shows of it."""
    import molexp

    asset = located(ctx, workspace).asset(of)
    if as_json:
        write(molexp.to_json({**asset.to_dict(), "description": asset.describe()}, pretty=True))
        return
    headline(asset.id)
    pairs(_facts(asset, asset.to_dict()), indent=2)
    if text := rendered(asset):
        write(text)


def _facts(asset: molexp.Asset, record: dict[str, Any]) -> list[tuple[str, str]]:
    fields = record.get("fields") or {}
    facts = [
        ("is", asset.describe()),
        ("kind", asset.kind),
        ("size", _words.size(asset.size)),
        ("created", _words.moment(record.get("created_at"))),
        ("made by", asset.producer.run if asset.producer else ""),
        ("tags", " ".join(sorted(asset.tags))),
        ("hash", asset.content_hash or ""),
        ("problem", getattr(asset, "problem", "")),
    ]
    return [
        *((name, text) for name, text in facts if text),
        *((name, _words.value(one)) for name, one in fields.items()),
    ]
