"""Workspaces around a folder of this machine."""

from __future__ import annotations

import os
import stat
import warnings
from pathlib import Path

from molexp._storage import layout
from molexp._values.documents import decode
from molexp.contracts import Store
from molexp.errors import CorruptRecordError

_LARGEST = 1 << 20  # bytes; a ``workspace.json`` has some hundred


def warn_of_outer(store: Store) -> None:
    """Warn if a workspace is about to be made within another one: a relative path was resolved from the wrong folder."""
    if "local_path" not in store.capabilities:
        return
    folder = Path(store.locate(layout.WORKSPACE)).parent
    if outer := next(filter(holds_workspace, folder.parents), None):
        warnings.warn(
            f"The new workspace {str(folder)!r} lies within the workspace {str(outer)!r}. If you meant that one, start from "
            f"{str(outer.parent)!r}, or give an absolute path.",
            stacklevel=2,
        )


def holds_workspace(folder: Path) -> bool:
    """Tell whether a folder is a workspace; other programs have files of this name, too."""
    try:
        found = os.lstat(folder / layout.WORKSPACE)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST or _is_planted(folder, found):
            return False
        document = decode((folder / layout.WORKSPACE).read_bytes(), layout.WORKSPACE)
    except OSError:
        return False
    except CorruptRecordError:
        return True  # to open it will say what is wrong
    return isinstance(document, dict) and document.get("type") == "workspace"


def _is_planted(folder: Path, found: os.stat_result) -> bool:
    """Tell whether everybody may write to `folder`, and somebody made the file who is neither this user nor the folder's owner.

    Without this, whoever can write to ``/tmp`` chooses where commands below it look and record. git had that fault
    (CVE-2022-24765).
    """
    if not hasattr(os, "geteuid"):
        return False
    above = os.stat(folder)
    return bool(above.st_mode & stat.S_IWOTH) and found.st_uid not in (os.geteuid(), above.st_uid)
