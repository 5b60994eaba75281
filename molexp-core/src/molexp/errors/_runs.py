"""Errors of runs, their assets and their commands."""

from __future__ import annotations

from collections.abc import Iterable

from molexp.errors._base import MolexpError, signal_name


class RunError(MolexpError):
    """Something about a run's life.

    Attributes:
        run: the run's path, ``project/experiment/run``.

    Example:
        >>> try:
        ...     run.start(if_succeeded="error")
        ... except me.RunError as error:
        ...     print(error.run)
        metals/cu/cu-small
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
        as_of: when a sync last saw it going on, if this is a copy and it goes on elsewhere; None otherwise.

    Example:
        >>> with exp.Run(id="busy").start():
        ...     exp.Run(id="busy").start()
        Traceback (most recent call last):
            ...
        molexp.errors.RunBusyError: ...
    """

    def __init__(self, run: str, *, attempt: int, host: str, pid: int, age: float, as_of: str | None = None) -> None:
        self.attempt = attempt
        self.host = host
        self.pid = pid
        self.age = age
        self.as_of = as_of
        who = f"by process {pid} on {host}" if host else "by an unknown owner"
        if as_of is None:
            where = f"is being executed {who} (attempt {attempt}, started {age:.0f} s ago)"
            then = "Wait for it with start(wait=SECONDS), cancel it with run.cancel() (`molexp cancel`), or use another run."
        else:
            where = f"is being executed elsewhere {who} (attempt {attempt}), as of {as_of}; this is a copy"
            then = (
                "Sync again to bring its end; or give this attempt up here with run.cancel() (`molexp cancel`), then start the "
                "next one."
            )
        self.hint = then
        super().__init__(f"Run {run!r} {where}. {then}", run=run)


class RunFinishedError(RunError):
    """The run succeeded already, and the caller asked not to repeat it.

    Attributes:
        status: its status.
        attempt: the attempt that finished it.

    Example:
        >>> run.start(if_succeeded="error")
        Traceback (most recent call last):
            ...
        molexp.errors.RunFinishedError: ...
    """

    def __init__(self, run: str, *, status: str, attempt: int) -> None:
        self.status = status
        self.attempt = attempt
        self.hint = "Start it with if_succeeded='rerun' for another attempt."
        super().__init__(f"Run {run!r} is finished ({status}, attempt {attempt}). {self.hint}", run=run)


class RunSupersededError(RunError):
    """This attempt was ended by somebody else, who took its owner for dead; what it wrote since is kept as late.

    Attributes:
        attempt: the attempt's number.
        status: its status, as its end says.
        by: the one who ended it.

    Example:
        >>> try:
        ...     with exp.Run().start() as ctx:
        ...         ctx.set_result("energy", -3.7)
        ... except me.RunSupersededError as error:  # another process ended the attempt
        ...     print(error.attempt, error.by)
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
        reason: the reason in the request.

    Example:
        >>> new = exp.Run()
        >>> try:
        ...     with new.start() as ctx:
        ...         ctx.set_result("energy", -3.7)
        ... except me.RunCancelledError as error:  # somebody called `new.cancel()`
        ...     print(error.reason)
    """

    def __init__(self, run: str, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Run {run!r} was cancelled{': ' + reason if reason else ''}.", run=run)


class ContextClosedError(RunError):
    """A context was used after its end, or in a process that was forked from its owner. Nothing was recorded.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     pass
        >>> ctx.set_result("energy", -3.7)
        Traceback (most recent call last):
            ...
        molexp.errors.ContextClosedError: ...
    """

    def __init__(self, run: str, *, why: str) -> None:
        self.why = why
        super().__init__(f"Nothing can be recorded for run {run!r} here: {why}.", run=run)


class AssetError(MolexpError):
    """Something about an asset.

    Attributes:
        name: the asset's name.

    Example:
        >>> try:
        ...     with exp.Run().start() as ctx:
        ...         ctx.artifact.save("x", object())
        ... except me.AssetError as error:
        ...     print(error.name)
        x
    """

    def __init__(self, message: str, *, name: str) -> None:
        self.name = name
        super().__init__(message)


class AmbiguousAssetError(AssetError):
    """One name stands for assets of several kinds in one scope.

    Attributes:
        scope: the scope.
        kinds: the kinds that have this name.

    Example:
        >>> try:
        ...     asset = run.asset("volumes.json")
        ... except me.AmbiguousAssetError as error:  # several kinds have this name: pass `kind=`
        ...     print(error.kinds)
    """

    def __init__(self, name: str, *, scope: str, kinds: Iterable[str]) -> None:
        self.scope = scope
        self.kinds: tuple[str, ...] = tuple(kinds)
        super().__init__(
            f"{name!r} is ambiguous in {scope!r}: {', '.join(self.kinds)}. Say which with kind={self.kinds[0]!r}.",
            name=name,
        )


class AssetExistsError(AssetError):
    """The name belongs to another kind or task of the same attempt. Nothing was replaced.

    Attributes:
        owner: the one who has it.

    Example:
        >>> try:
        ...     with exp.Run().start() as ctx:
        ...         asset = ctx.artifact.save("volumes.json", [1.0])
        ... except me.AssetExistsError as error:  # another task has saved this name
        ...     print(error.owner)
    """

    def __init__(self, name: str, *, owner: str) -> None:
        self.owner = owner
        super().__init__(f"The name {name!r} is taken by {owner}; choose another name.", name=name)


_AS_IT_WAS = "Restore them from a copy of the workspace; `open` reads them as they are, and `molexp fsck --read-data` looks for more."


class HashMismatchError(AssetError):
    """The bytes of an asset are not those that were recorded: somebody changed them, or the storage did.

    Attributes:
        key: their key in the workspace.
        recorded: the hash in the asset's record, or how many bytes.
        found: the hash of the bytes that are there, or how many there are.

    Example:
        >>> _ = run.asset("volumes.json").path.write_text("[]")
        >>> run.asset("volumes.json").load()
        Traceback (most recent call last):
            ...
        molexp.errors.HashMismatchError: ...
    """

    def __init__(self, name: str, *, key: str, recorded: str, found: str, hint: str = "") -> None:
        self.key = key
        self.recorded = recorded
        self.found = found
        self.hint = hint or _AS_IT_WAS
        super().__init__(
            f"The bytes of {name!r}, in {key!r}, are not those that were recorded.\nrecorded: {recorded}\n"
            f"found: {found}\n{self.hint}",
            name=name,
        )


class NoKindError(AssetError, TypeError):
    """No asset kind accepts this object.

    Attributes:
        type_name: the object's type.
        kinds: the kinds that are installed.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     ctx.artifact.save("x", object())
        Traceback (most recent call last):
            ...
        molexp.errors.NoKindError: ...
    """

    def __init__(self, name: str, type_name: str, *, kinds: Iterable[str] = (), hint: str = "") -> None:
        self.type_name = type_name
        self.kinds: tuple[str, ...] = tuple(kinds)
        known = f"Installed kinds: {', '.join(self.kinds)}." if self.kinds else ""
        self.hint = f"{hint} {known}".strip()
        super().__init__(f"No way to save {name!r}, of type {type_name}. {self.hint}".rstrip(), name=name)


class CommandError(MolexpError):
    """A command failed.

    Attributes:
        command: the command that was run.
        exit_code: its exit code; negative is the signal that killed it, ``None`` means it ran out of time.
        log: name of the log that has its output.
        tail: the last lines of its standard error.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     ctx.shell(["false"])
        Traceback (most recent call last):
            ...
        molexp.errors.CommandError: ...
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
            else f"was ended by {signal_name(exit_code)}"
            if exit_code < 0
            else f"ended with exit code {exit_code}"
        )
        end = f"\n{tail}" if tail else ""
        super().__init__(f"The command {command!r} {how}; its output is in the log {log!r}.{end}")
