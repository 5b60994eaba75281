"""Translate errors of the operating system into errors of MolExp."""

from __future__ import annotations

import errno
import os
from typing import Literal

from molexp.errors import (
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    ReadOnlyError,
    SpecialFileError,
    StorageFullError,
    StoreError,
    StorePermissionError,
    UnavailableError,
)
from molexp_fs._files import LINK, SpecialError

Action = Literal["read", "write", "delete", "list", "rename"]


def _codes(*names: str) -> frozenset[int]:
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


ABSENT = _codes("ENOENT", "ENOTDIR", "EISDIR")
"""Errors of reading a name when no file has it."""

NO_TMPFILE = _codes("EOPNOTSUPP", "ENOTSUP", "EISDIR", "EINVAL", "ENOSYS")
"""Errors of opening a nameless file on systems without them. Old kernels ignore the flag and raise EISDIR."""

NO_LINK = _codes("EPERM", "EOPNOTSUPP", "ENOTSUP", "ENOSYS", "EINVAL", "EMLINK", "EIO")
"""Errors of `link` on a file system without hard links. FUSE drivers without `link` raise EIO."""

_DENIED = _codes("EACCES", "EPERM")
_OR_OPEN = ", or another program has it open" if os.name == "nt" else ""
_FULL = _codes("ENOSPC", "EDQUOT")
_AWAY = _codes("ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENOTCONN", "ESHUTDOWN")


class LinkedFolderError(NotADirectoryError):
    """One of the folders of a key is a link.

    Attributes:
        folder: the link, as a key.
    """

    def __init__(self, folder: str, path: str) -> None:
        super().__init__(errno.ENOTDIR, "it is a symbolic link", path)
        self.folder = folder


def translate(error: OSError, key: str, url: str, action: Action) -> StoreError:
    """Return the error of MolExp that `error` means for `key`. The caller raises it from `error`."""
    code = error.errno
    detail = error.strerror or str(error)
    if isinstance(error, SpecialError):
        return SpecialFileError(key, url=url, sort=error.sort)
    if code in ABSENT:
        if action == "write":
            return _not_writable(error, key, url)
        return KeyNotFoundError(key, url=url)
    if code == errno.EEXIST:
        return KeyExistsError(key, url=url)
    if code == errno.EROFS:
        return ReadOnlyError(key, url=url, detail="it lies on a read-only file system")
    if code in _DENIED:
        return StorePermissionError(key, url=url, detail=f"{detail}{_OR_OPEN}", action=action)
    if code in _FULL:
        return StorageFullError(key, url=url, detail=detail)
    if code == errno.ENAMETOOLONG:
        return InvalidKeyError(key, f"the file system below {url} has no room for a name or path this long")
    if code in _AWAY:
        return UnavailableError(
            f"Cannot {action} {key!r} in {url}: {detail}. The file server does not answer; try again.", key=key, url=url
        )
    return StoreError(f"Cannot {action} {key!r} in {url}: {detail}. See the cause above.", key=key, url=url)


def _not_writable(error: OSError, key: str, url: str) -> StoreError:
    code = error.errno
    if isinstance(error, LinkedFolderError):
        return SpecialFileError(key, url=url, sort=LINK, folder=error.folder)
    if code == errno.EISDIR:
        why = "it is a folder of other keys, and a key may not also be a folder. Use another name"
    elif code == errno.ENOTDIR:
        why = "one of its folders is a key, and a key may not also be a folder. Use another name"
    else:
        why = "its folder or its temporary file was removed meanwhile. Nothing was changed; try again"
    return StoreError(f"Cannot write {key!r} in {url}: {why}.", key=key, url=url)
