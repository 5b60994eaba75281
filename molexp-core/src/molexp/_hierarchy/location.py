"""Finding the workspace that a command means when it is told none."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from molexp._hierarchy.workspace import Workspace
from molexp._record.enclosing import holds_workspace
from molexp._storage import layout
from molexp._values.ids import nearest
from molexp._values.paths import spelled
from molexp.contracts import RemotePath
from molexp.errors import NotFoundError, ReadOnlyError

VARIABLE = "MOLEXP_WORKSPACE"

_LOOKED_AT = 1000  # entries of a folder
_SEVERAL = 3  # workspaces that an error names


def locate_workspace(
    url: str | os.PathLike[str] | RemotePath | None = None,
    *,
    start: str | os.PathLike[str] | None = None,
    create: bool = False,
    read_only: bool = False,
) -> Workspace:
    """Open the workspace that is meant: `url`, else the environment's, else the nearest one around a folder.

    Args:
        url: a path or URL. If it is not given, ``MOLEXP_WORKSPACE`` says which; if that is not set, it is the nearest
            folder with a ``workspace.json``, from `start` upwards; one that a stranger may have put into a folder that
            everybody may write to, such as ``/tmp``, is passed over.
        start: The folder to begin in; by default the current directory.
        create: one that `url` or the environment names need not exist yet.
        read_only: refuse every write; storage that can only be read is opened so anyway, unless with `create`.

    Raises:
        NotFoundError: there is none; says what can be done about it.
        PluginMissingError: nothing that is installed provides the URL's scheme; names the package to install.
        CorruptRecordError: its ``workspace.json`` cannot be read.

    Example:
        >>> me.locate_workspace("lab") == ws
        True
    """
    named = spelled(url) if url is not None else os.environ.get(VARIABLE, "")
    if url is None and not named:
        return Workspace.load(_nearest(Path.cwd() if start is None else Path(start)), read_only=read_only)
    if create:
        return Workspace(named, read_only=read_only)
    try:
        return _load(named, read_only)
    except NotFoundError as error:
        beside = Path(named).absolute().parent if "://" not in named else None
        near = nearest(Path(named).name, [one.name for one in _workspaces_in(beside)]) if beside is not None else []
        found = NotFoundError(
            "workspace",
            error.name,
            nearest=[named.removesuffix(Path(named).name) + name for name in near],
            hint=f"{VARIABLE} says {named!r}. {error.hint}" if url is None else error.hint,
        )
        raise found from None


def _load(url: str, read_only: bool) -> Workspace:
    try:
        return Workspace.load(url, read_only=read_only)
    except ReadOnlyError:  # this storage can only be read, which most commands do
        return Workspace.load(url, read_only=True)


def _nearest(start: Path) -> Path:
    folder = start.absolute()
    for candidate in (folder, *folder.parents):
        if holds_workspace(candidate):
            return candidate
    below = sorted(found.name for found in _workspaces_in(folder))
    error = NotFoundError("workspace", str(folder), nearest=below[:_SEVERAL])
    named = f"There is one in {', '.join(map(repr, below[:_SEVERAL]))}. " if below else ""
    error.hint = (
        f"{named}Name one with -w URL, or set {VARIABLE}, or go to a folder that has a {layout.WORKSPACE}, or lies below "
        "one that has."
    )
    error.args = (f"No workspace is given, and there is none in {str(folder)!r} or above it. {error.hint}",)
    raise error


def _workspaces_in(folder: Path) -> list[Path]:
    """Return the workspaces that lie in a folder; where it has very many entries, those among the first."""
    try:
        return [
            Path(entry.path) for entry in islice(os.scandir(folder), _LOOKED_AT) if holds_workspace(Path(entry.path))
        ]
    except OSError:
        return []
