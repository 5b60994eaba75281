"""Links into a store: hard ones to files, symbolic ones to files and folders."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from molexp.contracts import Capability
from molexp.errors import StoreError, UnsupportedOperationError
from molexp_fs import _files as files
from molexp_fs._errors import NO_LINK
from molexp_fs._folder import Folder

if TYPE_CHECKING:
    from pathlib import Path


def link(folder: Folder, path: Path, key: str) -> None:
    """Create `key` as a hard link to the file `path`; see `LocalStore.link_from`."""
    source, target = os.path.realpath(path), folder.reach(key, "write")
    os.stat(source)  # a missing source is the caller's error, a missing folder is ours to make
    if os.path.isdir(source):
        raise StoreError(f"Cannot hard-link {source!r}: it is a folder. Copy or symlink it.", key=key, url=folder.url)
    if folder.durable:
        files.sync_file(source)  # whoever wrote it may not have done so
    try:
        _make(folder, lambda: os.link(source, target), key, target)
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in NO_LINK | {errno.EXDEV}:
            raise _unsupported(folder, f"hard-link {source!r}: {cause.strerror}", "link") from cause
        raise


def symlink(folder: Folder, path: Path, key: str) -> None:
    """Create `key` as a symbolic link to the file or folder `path`; see `LocalStore.symlink_from`."""
    source, target = os.path.abspath(path), folder.reach(key, "write")
    inside = os.path.realpath(source)
    if inside.replace(os.sep, "/").startswith(folder.base):
        source = os.path.relpath(inside, files.folder_of_path(target))
    try:
        _make(folder, lambda: os.symlink(source, target, os.path.isdir(path)), key, target)
    except StoreError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and (cause.errno in NO_LINK or getattr(cause, "winerror", None) == 1314):
            raise _unsupported(folder, f"symlink {source!r}: {cause.strerror}", "symlink") from cause
        raise


def _make(folder: Folder, act: Callable[[], None], key: str, target: str) -> None:
    try:
        act()
    except OSError as error:
        folder.retry(error, key, target, act)
    if folder.durable:
        files.sync_folder(files.folder_of_path(target))


def _unsupported(folder: Folder, operation: str, capability: Capability) -> UnsupportedOperationError:
    return UnsupportedOperationError(operation, capability=capability, url=folder.url)
