"""Errors of storage."""

from __future__ import annotations

from typing import Any

from molexp.errors._base import MolexpError, NotFoundError


class StoreError(MolexpError):
    """A storage operation failed.

    Attributes:
        key: the key that was operated on; "" where there is none.
        url: the store's URL, without credentials.

    Example:
        >>> try:
        ...     with exp.Run().start() as ctx:
        ...         ctx.set_result("energy", -3.7)
        ... except me.StoreError as error:  # the storage cannot be read or written
        ...     print(error.key, error.url)
    """

    def __init__(self, message: str, *, key: str = "", url: str = "") -> None:
        self.key = key
        self.url = url
        super().__init__(message)


class KeyNotFoundError(StoreError, NotFoundError):
    """There is nothing under this key.

    Example:
        >>> from molexp_fs import LocalStore
        >>> LocalStore.open("store", {}).read("missing")
        Traceback (most recent call last):
            ...
        molexp.errors.KeyNotFoundError: ...
    """

    def __init__(self, key: str, *, url: str = "", hint: str = "") -> None:
        NotFoundError.__init__(self, "key", key, where=url, hint=hint)
        self.key = key
        self.url = url


class KeyExistsError(StoreError):
    """An exclusive creation found the key taken. Nothing was changed.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> store.create("key", b"1")
        >>> store.create("key", b"2")
        Traceback (most recent call last):
            ...
        molexp.errors.KeyExistsError: ...
    """

    def __init__(self, key: str, *, url: str = "") -> None:
        super().__init__(f"The key {key!r} exists already in {url or 'the store'}.", key=key, url=url)


class KeyMovedError(StoreError):
    """An append went to a file that no longer bears this name; what it wrote must be written again elsewhere.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> store.create("log", b"1")
        >>> try:
        ...     store.append("log", b"2")
        ... except me.KeyMovedError as error:  # another process renamed the file meanwhile
        ...     print(error.key)
    """

    def __init__(self, key: str, *, url: str = "") -> None:
        super().__init__(
            f"The key {key!r} was renamed or replaced while it was being appended to; start a new one.",
            key=key,
            url=url,
        )


class WorkspaceMovedError(StoreError):
    """The folder of a workspace is not where it was when it was opened: moved, removed, unmounted, or replaced.

    Nothing was written in its place.

    Attributes:
        found: its place now; "" if nobody can tell.
        removed: True if it is known to be gone.

    Example:
        >>> try:
        ...     with exp.Run().start() as ctx:
        ...         ctx.set_result("energy", -3.7)
        ... except me.WorkspaceMovedError as error:  # somebody renamed the folder meanwhile
        ...     print(error.found)
    """

    def __init__(self, key: str = "", *, url: str = "", found: str = "", removed: bool = False) -> None:
        self.found = found
        self.removed = removed
        if removed:
            what, now = "removed", "What was recorded in it is gone."
        elif found:
            what, now = "moved", f"What was recorded so far lies in {found!r}: move it back, or open it there."
        else:
            what, now = "moved, removed or unmounted", "What was recorded so far lies where it is now: bring it back."
        super().__init__(
            f"Cannot write {key or 'there'!r}: the workspace {url or 'that was opened'} was {what} while it was in use. "
            f"Nothing was written in its place. {now}",
            key=key,
            url=url,
        )


class InvalidKeyError(StoreError, ValueError):
    """A key that no store accepts. Nothing was read or written.

    Attributes:
        reason: the problem.

    Example:
        >>> from molexp.contracts import check_key
        >>> check_key("../x")
        Traceback (most recent call last):
            ...
        molexp.errors.InvalidKeyError: ...
    """

    def __init__(self, key: str, reason: str) -> None:
        self.reason = reason
        shown = key if len(key) <= 80 else f"{key[:60]}... ({len(key)} characters)"
        super().__init__(f"{shown!r} is not a valid key: {reason}.", key=key)


class StorePermissionError(StoreError):
    """The operating system or the server denies access.

    Example:
        >>> try:
        ...     project = ws.Project("new")
        ... except me.StorePermissionError as error:  # you may not write there
        ...     print(error.key)
    """

    def __init__(self, key: str, *, url: str = "", detail: str = "", action: str = "access") -> None:
        self.action = action
        self.hint = "Check the owner and mode of the folder, or open it with read_only=True."
        super().__init__(
            f"No permission to {action} {key or 'the workspace'!r} in {url or 'the store'}"
            f"{': ' + detail if detail else ''}. {self.hint}",
            key=key,
            url=url,
        )


class ReadOnlyError(StorePermissionError):
    """The workspace was opened with ``read_only=True``, or lies on a read-only file system.

    Example:
        >>> me.Workspace.load("lab", read_only=True).Project("new")
        Traceback (most recent call last):
            ...
        molexp.errors.ReadOnlyError: ...
    """

    def __init__(self, key: str = "", *, url: str = "", detail: str = "") -> None:
        super().__init__(key, url=url)
        self.action = "write"
        self.hint = ""
        why = detail or "it was opened with read_only=True"
        self.args: tuple[Any, ...] = (f"Cannot write to {url or 'the workspace'}: {why}. Nothing was changed.",)


class SpecialFileError(StoreError):
    """Something is there that is not a regular file, and is neither read nor followed: a link, a pipe, a device.

    Attributes:
        sort: the sort of thing that it is, such as ``symbolic link``.
        folder: the folder of the key that is no folder; "" if it is the key itself.

    Example:
        >>> from molexp_fs import LocalStore
        >>> store = LocalStore.open("store", {})
        >>> store.create("key", b"1")
        >>> Path("store/link").symlink_to("key")
        >>> store.read("link")
        Traceback (most recent call last):
            ...
        molexp.errors.SpecialFileError: ...
    """

    def __init__(self, key: str, *, url: str = "", sort: str = "", folder: str = "") -> None:
        self.sort = sort
        self.folder = folder
        what = f"{folder!r} is a {sort}, and a folder is needed for {key!r}" if folder else f"{key!r} is a {sort}"
        super().__init__(
            f"In {url or 'the store'}, {what}. Only regular files are read, and links are not followed: "
            "put in its place what belongs there, or remove it.",
            key=key,
            url=url,
        )


class CredentialsError(StoreError):
    """Credentials are missing, wrong or expired.

    Example:
        >>> try:
        ...     ws = me.Workspace("lab")
        ... except me.CredentialsError as error:  # the server refuses your keys
        ...     print(error)
    """


class UnavailableError(StoreError):
    """The storage did not answer, or kept failing after retries.

    Example:
        >>> try:
        ...     ws.run("cu-small").status == "succeeded"
        ... except me.UnavailableError as error:  # the storage does not answer; try again later
        ...     print(error)
        True
    """


class StorageFullError(StoreError):
    """The disk or quota is full.

    Example:
        >>> try:
        ...     with exp.Run().start() as ctx:
        ...         ctx.set_result("energy", -3.7)
        ... except me.StorageFullError as error:  # the disk or the quota is full
        ...     print(error.key)
    """

    def __init__(self, key: str, *, url: str = "", detail: str = "") -> None:
        super().__init__(
            f"No space left for {key!r} in {url or 'the store'}{': ' + detail if detail else ''}. "
            "What was written before is intact; free some space and try again.",
            key=key,
            url=url,
        )


class UnsupportedOperationError(StoreError):
    """An operation behind a capability that this store does not declare.

    Attributes:
        operation: the operation.
        capability: the capability that it needs.

    Example:
        >>> try:
        ...     path = run.asset("volumes.json").path
        ... except me.UnsupportedOperationError as error:  # the storage has no local files
        ...     print(error.operation)
    """

    def __init__(self, operation: str, *, capability: str = "", url: str = "", hint: str = "") -> None:
        self.operation = operation
        self.capability = capability
        self.hint = hint
        need = f" (it does not declare the capability {capability!r})" if capability else ""
        super().__init__(f"{url or 'This store'} cannot {operation}{need}. {hint}".rstrip(), url=url)
