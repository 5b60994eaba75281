"""Every error that MolExp raises on purpose.

::

    MolexpError
    ├── StoreError                        storage said no; carries the key and the store's URL
    │   ├── KeyNotFoundError              (also NotFoundError)
    │   ├── KeyExistsError                an exclusive creation lost
    │   ├── KeyMovedError                 an append found its file renamed or replaced
    │   ├── InvalidKeyError               (also ValueError) refused before any I/O
    │   ├── StorePermissionError          the operating system or server denies access
    │   │   └── ReadOnlyError             the workspace was opened read-only
    │   ├── CredentialsError              missing, wrong or expired
    │   ├── UnavailableError              still failing after retries
    │   ├── StorageFullError              no space or quota left
    │   └── UnsupportedOperationError     a capability that this store does not declare
    ├── NotFoundError                     (also LookupError) with the nearest names
    ├── ConflictError                     a definition that exists and differs
    ├── InvalidNameError                  (also ValueError) an id or name that cannot be used
    ├── SerializationError                (also ValueError) a value JSON cannot carry; names its path and type
    ├── RecordError
    │   ├── CorruptRecordError            a document that cannot be read
    │   └── SchemaError                   written by a newer MolExp; it may be read, never written to
    ├── RunError                          the life cycle; carries the run's path
    │   ├── RunBusyError                  another attempt is alive
    │   ├── RunFinishedError              it succeeded, and ``if_succeeded="error"``
    │   ├── RunSupersededError            this attempt was ended by somebody else
    │   ├── RunCancelledError             a cancel request reached this attempt
    │   └── ContextClosedError            used after its end, or in a forked child
    ├── AssetError
    │   ├── AmbiguousAssetError           one name, several kinds
    │   ├── AssetExistsError              the name belongs to another task or kind
    │   └── NoKindError                   (also TypeError) no kind accepts this object
    ├── CommandError                      a command that ``ctx.shell`` ran failed
    └── PluginError
        ├── PluginLoadError               one or more plugins are broken
        └── PluginMissingError            nothing installed provides what was asked for

An error's facts are attributes; its message is built from them. Every error survives pickling, subclasses in plugins
too, whatever their ``__init__`` takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = [
    "AmbiguousAssetError",
    "AssetError",
    "AssetExistsError",
    "CommandError",
    "ConflictError",
    "ContextClosedError",
    "CorruptRecordError",
    "CredentialsError",
    "InvalidKeyError",
    "InvalidNameError",
    "KeyExistsError",
    "KeyMovedError",
    "KeyNotFoundError",
    "MolexpError",
    "NoKindError",
    "NotFoundError",
    "PluginError",
    "PluginLoadError",
    "PluginMissingError",
    "ReadOnlyError",
    "RecordError",
    "RunBusyError",
    "RunCancelledError",
    "RunError",
    "RunFinishedError",
    "RunSupersededError",
    "SchemaError",
    "SerializationError",
    "StorageFullError",
    "StoreError",
    "StorePermissionError",
    "UnavailableError",
    "UnsupportedOperationError",
]


def _restore(cls: type[MolexpError], args: tuple[Any, ...], facts: dict[str, Any]) -> MolexpError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(facts)
    return error


class MolexpError(Exception):
    """The root of the tree; catch it to catch whatever MolExp raises on purpose."""

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError and friends would quote it

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, {k: v for k, v in self.__dict__.items() if k != "__notes__"})


def _nearest(names: Sequence[str]) -> str:
    return f" Did you mean {' or '.join(repr(n) for n in names)}?" if names else ""


# ---------------------------------------------------------------------------------------------------------- not found


class NotFoundError(MolexpError, LookupError):
    """Something that was asked for by name is not there.

    Attributes:
        what: the sort of thing ("run", "experiment", "asset", ...).
        name: the name that was asked for.
        where: where it was looked for.
        nearest: names that exist and look similar, best first.
    """

    def __init__(self, what: str, name: str, *, where: str = "", nearest: Iterable[str] = (), hint: str = "") -> None:
        self.what = what
        self.name = name
        self.where = where
        self.nearest = tuple(nearest)
        place = f" in {where}" if where else ""
        super().__init__(f"There is no {what} {name!r}{place}.{_nearest(self.nearest)}{' ' + hint if hint else ''}")


# ------------------------------------------------------------------------------------------------------------- stores


class StoreError(MolexpError):
    """A storage operation failed.

    Attributes:
        key: the key that was operated on; "" where there is none.
        url: the store's URL, without credentials.
    """

    def __init__(self, message: str, *, key: str = "", url: str = "") -> None:
        self.key = key
        self.url = url
        super().__init__(message)


class KeyNotFoundError(StoreError, NotFoundError):
    """There is nothing under this key."""

    def __init__(self, key: str, *, url: str = "") -> None:
        NotFoundError.__init__(self, "key", key, where=url)
        self.key = key
        self.url = url


class KeyExistsError(StoreError):
    """An exclusive creation found the key taken. Nothing was changed."""

    def __init__(self, key: str, *, url: str = "") -> None:
        super().__init__(f"The key {key!r} exists already in {url or 'the store'}.", key=key, url=url)


class KeyMovedError(StoreError):
    """An append went to a file that no longer bears this name; what it wrote must be written again elsewhere."""

    def __init__(self, key: str, *, url: str = "") -> None:
        super().__init__(
            f"The key {key!r} was renamed or replaced while it was being appended to; start a new one.",
            key=key,
            url=url,
        )


class InvalidKeyError(StoreError, ValueError):
    """A key that no store accepts. Nothing was read or written.

    Attributes:
        reason: what is wrong with it.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.reason = reason
        shown = key if len(key) <= 80 else f"{key[:60]}... ({len(key)} characters)"
        super().__init__(f"{shown!r} is not a valid key: {reason}.", key=key)


class StorePermissionError(StoreError):
    """The operating system or the server denies access."""

    def __init__(self, key: str, *, url: str = "", detail: str = "", action: str = "access") -> None:
        self.action = action
        super().__init__(
            f"No permission to {action} {key or 'the workspace'!r} in {url or 'the store'}"
            f"{': ' + detail if detail else ''}. Check the owner and mode of the folder, or open it with read_only=True.",
            key=key,
            url=url,
        )


class ReadOnlyError(StorePermissionError):
    """The workspace was opened with ``read_only=True``, or lies on a read-only file system."""

    def __init__(self, key: str = "", *, url: str = "", detail: str = "") -> None:
        super().__init__(key, url=url)
        self.action = "write"
        why = detail or "it was opened with read_only=True"
        self.args = (
            f"Cannot write {key or 'here'!r}: {url or 'the workspace'} is read-only ({why}). Nothing was changed.",
        )


class CredentialsError(StoreError):
    """Credentials are missing, wrong or expired."""


class UnavailableError(StoreError):
    """The storage did not answer, or kept failing after retries."""


class StorageFullError(StoreError):
    """The disk or quota is full."""

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
    """

    def __init__(self, operation: str, *, capability: str = "", url: str = "", hint: str = "") -> None:
        self.operation = operation
        self.capability = capability
        need = f" (it does not declare the capability {capability!r})" if capability else ""
        super().__init__(
            f"{url or 'This store'} cannot {operation}{need}.{' ' + hint if hint else ''}",
            url=url,
        )


# ------------------------------------------------------------------------------------------------- names and documents


class ConflictError(MolexpError):
    """A definition exists under this name and differs from the one given. Nothing was changed.

    Attributes:
        what: the sort of thing ("experiment", "run", ...).
        name: its path.
        stored: what the record holds.
        given: what the caller gave.
    """

    def __init__(self, what: str, name: str, *, stored: Any, given: Any, hint: str) -> None:
        self.what = what
        self.name = name
        self.stored = stored
        self.given = given
        super().__init__(
            f"The {what} {name!r} exists with a different definition.\n  stored: {stored}\n  given:  {given}\n{hint}"
        )


class InvalidNameError(MolexpError, ValueError):
    """An id or a name that cannot be used. Nothing was written.

    Attributes:
        what: the sort of name.
        name: the offending name.
        reason: what is wrong with it, and what is allowed.
    """

    def __init__(self, what: str, name: str, reason: str) -> None:
        self.what = what
        self.name = name
        self.reason = reason
        shown = name if len(name) <= 80 else f"{name[:60]}... ({len(name)} characters)"
        super().__init__(f"{shown!r} cannot be used as {what}: {reason}.")


class SerializationError(MolexpError, ValueError):
    """A value that JSON cannot carry.

    Attributes:
        path: where in the given value it stands, as in ``results.fit[3].matrix``.
        type_name: the offending type.
    """

    def __init__(self, path: str, type_name: str, reason: str) -> None:
        self.path = path
        self.type_name = type_name
        super().__init__(f"{path} ({type_name}) cannot be recorded: {reason}.")


class RecordError(MolexpError):
    """The record itself is at fault.

    Attributes:
        key: the document's key.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        self.key = key
        super().__init__(message)


class CorruptRecordError(RecordError):
    """A document that cannot be read. Others are not affected.

    Attributes:
        reason: what is wrong with it.
    """

    def __init__(self, key: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{key!r} cannot be read: {reason}. Restore it from a backup, or see `fsck` for what is affected.",
            key=key,
        )


class SchemaError(RecordError):
    """A document was written by a newer MolExp. It may be read; nothing is written to it.

    Attributes:
        found: the document's schema number.
        known: the newest one that this version knows.
    """

    def __init__(self, key: str, *, found: int, known: int) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"{key!r} has schema {found}; this molexp-core knows schemas up to {known} and writes nothing there. "
            "Upgrade molexp-core.",
            key=key,
        )


# --------------------------------------------------------------------------------------------------------------- runs


class RunError(MolexpError):
    """Something about a run's life.

    Attributes:
        run: the run's path, ``project/experiment/run``.
    """

    def __init__(self, message: str, *, run: str) -> None:
        self.run = run
        super().__init__(message)


class RunBusyError(RunError):
    """Another attempt at this run is alive.

    Attributes:
        attempt: its number.
        host: the machine it runs on; "" if unknown.
        pid: its process id there; 0 if unknown.
        age: seconds since it was claimed or last seen to beat, as far as this process can tell.
    """

    def __init__(self, run: str, *, attempt: int, host: str, pid: int, age: float) -> None:
        self.attempt = attempt
        self.host = host
        self.pid = pid
        self.age = age
        who = f"by process {pid} on {host}" if host else "by an unknown owner"
        super().__init__(
            f"Run {run!r} is being executed {who} (attempt {attempt}, started {age:.0f} s ago). "
            "Wait for it with start(wait=SECONDS), cancel it with run.cancel(), or use another run.",
            run=run,
        )


class RunFinishedError(RunError):
    """The run succeeded already, and the caller asked not to repeat it.

    Attributes:
        status: its status.
        attempt: the attempt that finished it.
    """

    def __init__(self, run: str, *, status: str, attempt: int) -> None:
        self.status = status
        self.attempt = attempt
        super().__init__(
            f"Run {run!r} is finished ({status}, attempt {attempt}). "
            "Start it with if_succeeded='rerun' for another attempt.",
            run=run,
        )


class RunSupersededError(RunError):
    """This attempt was ended by somebody else, who took its owner for dead; what it wrote since is kept as late.

    Attributes:
        attempt: the attempt's number.
        status: what its end says.
        by: who ended it.
    """

    def __init__(self, run: str, *, attempt: int, status: str, by: str) -> None:
        self.attempt = attempt
        self.status = status
        self.by = by
        super().__init__(
            f"Attempt {attempt} at run {run!r} was already ended as {status!r} by {by}: its owner had shown no sign of "
            "life. What this process recorded up to then is kept; later records are not part of the run.",
            run=run,
        )


class RunCancelledError(RunError):
    """A cancel request reached this attempt; it ends as ``cancelled`` unless the error is swallowed.

    Attributes:
        reason: what the request said.
    """

    def __init__(self, run: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Run {run!r} was cancelled{': ' + reason if reason else ''}.", run=run)


class ContextClosedError(RunError):
    """A context was used after its end, or in a process that was forked from its owner. Nothing was recorded."""

    def __init__(self, run: str, *, why: str) -> None:
        self.why = why
        super().__init__(f"Nothing can be recorded for run {run!r} here: {why}.", run=run)


# ------------------------------------------------------------------------------------------------------------- assets


class AssetError(MolexpError):
    """Something about an asset.

    Attributes:
        name: the asset's name.
    """

    def __init__(self, message: str, *, name: str) -> None:
        self.name = name
        super().__init__(message)


class AmbiguousAssetError(AssetError):
    """One name stands for assets of several kinds in one scope.

    Attributes:
        scope: the scope.
        kinds: the kinds that have this name.
    """

    def __init__(self, name: str, *, scope: str, kinds: Iterable[str]) -> None:
        self.scope = scope
        self.kinds = tuple(kinds)
        super().__init__(
            f"{name!r} is ambiguous in {scope!r}: {', '.join(self.kinds)}. Say which with kind={self.kinds[0]!r}.",
            name=name,
        )


class AssetExistsError(AssetError):
    """The name belongs to another kind or task of the same attempt. Nothing was replaced.

    Attributes:
        owner: who has it.
    """

    def __init__(self, name: str, *, owner: str) -> None:
        self.owner = owner
        super().__init__(f"The name {name!r} is taken by {owner}; choose another name.", name=name)


class NoKindError(AssetError, TypeError):
    """No asset kind accepts this object.

    Attributes:
        type_name: the object's type.
        kinds: the kinds that are installed.
    """

    def __init__(self, name: str, type_name: str, *, kinds: Iterable[str] = (), hint: str = "") -> None:
        self.type_name = type_name
        self.kinds = tuple(kinds)
        known = f" Installed kinds: {', '.join(self.kinds)}." if self.kinds else ""
        super().__init__(f"No way to save {name!r}, a {type_name}.{' ' + hint if hint else ''}{known}", name=name)


class CommandError(MolexpError):
    """A command failed.

    Attributes:
        command: what was run.
        exit_code: its exit code; negative is the signal that killed it, ``None`` means it ran out of time.
        log: name of the log that has its output.
        tail: the last lines of its standard error.
    """

    def __init__(
        self, command: str, *, exit_code: int | None, log: str, tail: str, timeout: float | None = None
    ) -> None:
        self.command = command
        self.exit_code = exit_code
        self.log = log
        self.tail = tail
        self.timeout = timeout
        how = (
            f"ran longer than {timeout:g} s and was killed"
            if exit_code is None
            else f"ended with exit code {exit_code}"
        )
        end = f"\n{tail}" if tail else ""
        super().__init__(f"The command {command!r} {how}; its output is in the log {log!r}.{end}")


# ------------------------------------------------------------------------------------------------------------ plugins


class PluginError(MolexpError):
    """Something about plugins."""


class PluginLoadError(PluginError):
    """One or more plugins are broken; raised at once in strict mode, otherwise when what they provide is asked for.

    Attributes:
        causes: plugin (with its distribution and version) to what is wrong with it.
    """

    def __init__(self, causes: Mapping[str, str], *, asked: str = "") -> None:
        self.causes = dict(causes)
        self.asked = asked
        listed = "\n".join(f"  {name}: {cause}" for name, cause in self.causes.items())
        head = f"{asked} is not available; these plugins" if asked else "These plugins"
        super().__init__(
            f"{head} could not be loaded:\n{listed}\nRepair or uninstall them, or set MOLEXP_DISABLE_PLUGINS."
        )


class PluginMissingError(PluginError, LookupError):
    """Nothing that is installed provides what was asked for.

    Attributes:
        what: the sort of thing ("storage backend", "asset kind", ...).
        name: the name that was asked for.
        package: the distribution that provides it, if one is known.
    """

    def __init__(
        self, what: str, name: str, *, package: str = "", known: Iterable[str] = (), nearest: Iterable[str] = ()
    ) -> None:
        self.what = what
        self.name = name
        self.package = package
        self.known = tuple(known)
        self.nearest = tuple(nearest)
        do = f" Install it: pip install {package}" if package else ""
        have = f" Available: {', '.join(self.known)}." if self.known and not package else ""
        super().__init__(f"No installed plugin provides the {what} {name!r}.{_nearest(self.nearest)}{have}{do}")
