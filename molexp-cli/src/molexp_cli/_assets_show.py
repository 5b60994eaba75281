"""``molexp assets show``: describe an asset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molexp_cli import _words
from molexp_cli._extending import rendered
from molexp_cli._images import draw
from molexp_cli._options import AssetArgument, JsonOption, WorkspaceOption, located
from molexp_cli._output import headline, pairs, write

if TYPE_CHECKING:
    import molexp
    from molexp.contracts import Preview


def show_asset(
    ctx: typer.Context,
    of: AssetArgument,
    preview: Annotated[
        Path | None,
        typer.Option(
            "--preview",
            metavar="FILE",
            help="Write what its kind shows of it to this new file: an image to .png, HTML to .html, text to any other.",
        ),
    ] = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Describe an asset: its description, its fields, its origin, and what its kind and plugins' renderers show of it.

    Text is shown, and so are images in terminals that can (kitty, Ghostty, Konsole, iTerm2, WezTerm). For others, and for HTML,
    there is a link to the file, and --preview writes what the kind shows.

    Examples:
        molexp assets show @latest:volumes.json
        molexp assets show 'metals/cu/cu-1#1:artifact:volumes.json@1' --json
        molexp assets show @latest:spectrum --preview spectrum.png
    """
    import molexp

    asset = located(ctx, workspace).asset(of)
    if preview is not None:
        _write_preview(asset, preview)
    if as_json:
        write(molexp.to_json({**asset.to_dict(), "description": asset.describe()}, pretty=True))
        return
    headline(asset.id)
    shown = asset.preview()
    pairs([*_facts(asset, asset.to_dict()), *_forms(asset, shown, preview)], indent=2)
    if shown is not None:
        draw(shown.png)
    for text in (rendered(asset), shown.text if shown is not None else ""):
        if text:
            write(text)


def _forms(asset: molexp.Asset, shown: Preview | None, file: Path | None) -> list[tuple[str, str]]:
    """Return where there is more to see than text."""
    if file is not None:
        return [("preview", str(file))]
    forms = [name for name, form in (("PNG", shown.png), ("HTML", shown.html)) if form] if shown is not None else []
    if not forms:
        return []
    path = asset.path
    link = path.absolute().as_uri() if isinstance(path, Path) else str(path)
    return [("file", link), ("preview", f"{' and '.join(forms)}; --preview FILE writes it")]


def _write_preview(asset: molexp.Asset, file: Path) -> None:
    """Write a preview to a new file, in the form that its suffix names.

    Raises:
        AssetError: its kind makes no such preview.
    """
    from molexp.errors import AssetError

    name, form = {".png": ("PNG", "png"), ".html": ("HTML", "html")}.get(file.suffix.lower(), ("text", "text"))
    data: str | bytes = getattr(asset.preview(), form, "")
    if not data:
        raise AssetError(f"The kind {asset.kind!r} makes no preview of {asset.name!r} as {name}.", name=asset.name)
    with file.open("xb") as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


def _facts(asset: molexp.Asset, record: dict[str, Any]) -> list[tuple[str, str]]:
    fields = record.get("fields") or {}
    facts = [
        ("is", asset.describe()),
        ("kind", asset.kind),
        ("size", _words.size(asset.size)),
        ("created", _words.moment(asset.created_at)),
        ("made by", asset.producer.run if asset.producer else ""),
        ("tags", " ".join(sorted(asset.tags))),
        ("hash", asset.content_hash or ""),
        ("problem", getattr(asset, "problem", "")),
    ]
    return [
        *((name, text) for name, text in facts if text),
        *((name, _words.value(one)) for name, one in fields.items()),
    ]
