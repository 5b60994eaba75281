"""Contexts: one vocabulary for recording and finding, with and without a workflow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from molexp._assets.accessors import Accessor
from molexp._assets.builtin_kinds import ErrorTraceKind
from molexp._recording.usage import misses, uses
from molexp._running.endings import message_of
from molexp._values.advice import advice
from molexp._values.documents import encode
from molexp._values.loaded import type_name
from molexp._values.plain import plain
from molexp._values.times import utc_now
from molexp._values.value_path import Unfit
from molexp.contracts._assets import Asset
from molexp.contracts._kinds import kind_name
from molexp.errors import AssetError, InvalidNameError, MolexpError, NotFoundError, PluginError, SerializationError

if TYPE_CHECKING:
    import logging
    import subprocess
    from pathlib import Path

    from molexp._assets.accessors import GrowingAccessor, GrowingKind
    from molexp._assets.assets import ArtifactFields, CheckpointFields
    from molexp._assets.metrics import Metrics
    from molexp._assets.naming import AttemptAssets
    from molexp._assets.streams import LogHandle
    from molexp._recording.writer import Recorder
    from molexp.contracts import AssetKind

T = TypeVar("T")
F = TypeVar("F")
Item = TypeVar("Item")


class RecordedRun(Protocol):
    """A run, as the contexts of its attempts and tasks need it; they say of what class it is."""

    @property
    def id(self) -> str:
        """Return its id."""

    @property
    def seed(self) -> int:
        """Return its seed for random numbers."""

    def _refer(self, value: Any) -> Any:
        """Return how a result that is an asset, a run or a path is stored; None for anything else."""


RESULT_LIMIT = 64 * 1024  # bytes of JSON a result may take
_MARKS = frozenset(" \t\n=")  # of a line, rather than of a log's name
_PLAIN = (dict, list, tuple, str, int, float)  # if one of these is no result, it is not for its class
_LONGEST_TRACE = 1 << 20  # characters of a traceback that are kept


class Context:
    """Records results, assets, logs and metrics, and finds assets.

    Without a run every recording helper is harmless and returns None, so that the same code runs in memory.

    Attributes:
        run: the run; None without one.
        params: the run's merged parameters.
        config: the resolved profile; empty without one.

    Example:
        >>> with exp.Run().start() as ctx:
        ...     ctx.set_result("seed", ctx.seed)
        ...     ctx.logger.info("begins")
        ...     _ = (ctx.workdir / "in.txt").write_text("local scratch")
        ...     _ = ctx.save("volumes.json", [1.0, 2.0])
        ...     print(ctx.asset("volumes.json").load(), ctx.find_asset("reference"))
        ...     done = ctx.shell(["true"])
        [1.0, 2.0] None
    """

    run: RecordedRun | None
    params: Mapping[str, Any]
    config: Mapping[str, Any]

    def __init__(
        self,
        *,
        run: RecordedRun | None = None,
        params: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        assets: AttemptAssets | None = None,
        task: str | None = None,
    ) -> None:
        self.run = run
        self.params = {} if params is None else params
        self.config = {} if config is None else config
        self._assets = assets
        self._task = task
        self._recorder: Recorder | None = assets.recorder if assets is not None else None
        self._accessors: dict[str, Accessor[Any, Any]] = {}
        self._logs: dict[str, LogHandle] = {}
        self._metrics: Metrics | None = None
        self._logger: logging.Logger | None = None
        self._workdir: Path | None = None

    @property
    def seed(self) -> int:
        """A seed for random numbers, from 0 to 2**32 - 1.

        The first 32 bits of the SHA-256 of the run's parameters and replica, in canonical JSON: the same on every
        machine and in every attempt, another one for every replica. Without a run, that of the parameters.
        """
        from molexp._values.sweeps import seed_of

        return self.run.seed if self.run is not None else seed_of(self.params, 0)

    # ------------------------------------------------------------------------------------------------------ recording

    def set_result(self, name: str, value: Any) -> None:
        """Record a small structured value, queryable in `Run.results`; a later one of the same name wins.

        Args:
            name: the result's name.
            value: anything that has a JSON form (see ``docs/explanation/values.md``), up to 64 KiB of it; NaN and
                infinity are legal. An asset, or a path inside the workspace, is stored as a reference.

        Raises:
            SerializationError: a value that JSON cannot carry, or one that is too large; names its path and type.
            InvalidNameError: the name is empty or no text.
        """
        if not isinstance(name, str) or not name:
            raise InvalidNameError("a result's name", repr(name), "it must be text, and not empty")
        refer = self.run._refer if self.run is not None else None
        try:
            stored = plain(value, where=f"results.{name}", nan=True, refer=refer)
        except SerializationError as error:
            raise self._advised(error, name) from None
        if type(stored) not in (int, float, bool) and (size := len(encode(stored))) > RESULT_LIMIT:
            from molexp._assets.choosing import offer

            advised = offer(self._assets.library, value, name) if self._assets is not None else ""
            reason = f"it takes {size} bytes as JSON, and a result at most {RESULT_LIMIT}; {advised or 'save it as an artifact'}"
            raise SerializationError(f"results.{name}", type(value).__name__, reason)
        if self._recorder is not None:
            event = {"type": "result", "at": utc_now(), "name": name, "value": stored}
            self._recorder.record(event)

    @overload
    def save(self, name: str, obj: T, *, kind: type[AssetKind[T, F]], **fields: Any) -> Asset[T, F] | None: ...

    @overload
    def save(self, name: str, obj: Any, *, kind: str | None = None, **fields: Any) -> Asset | None: ...

    def save(
        self, name: str, obj: Any, *, kind: type[AssetKind[Any, Any]] | str | None = None, **fields: Any
    ) -> Asset | None:
        """Save `obj` as an asset of `kind`, or of the one kind that accepts it.

        Args:
            name: the asset's name.
            obj: the object.
            kind: its kind, or the name of that.
            fields: as for `Accessor.save`.

        Raises:
            NoKindError: no kind accepts it, or several do; names its type and the kinds.
        """
        if self._assets is None:
            return None
        if isinstance(kind, type):
            return self[kind].save(name, obj, **fields)
        return self._accessor(kind or self._choose(name, obj)).save(name, obj, **fields)

    @property
    def artifact(self) -> Accessor[Any, ArtifactFields]:
        """Files that the run produces."""
        return self._accessors.get("artifact") or self._accessor("artifact")

    @property
    def checkpoint(self) -> Accessor[Any, CheckpointFields]:
        """States from which work can go on."""
        return self._accessor("checkpoint")

    def log(self, name: str) -> LogHandle:
        """Open the log ``logs/<name>.log``: append lines to it, or print into it.

        Raises:
            InvalidNameError: the name looks like a line, or cannot be a file's.
            AssetExistsError: another task has it.
        """
        if (handle := self._logs.get(name)) is None:
            if isinstance(name, str) and not _MARKS.isdisjoint(name):
                reason = "a log's name has no blanks and no '='; did you mean ctx.logger.info(...)? Or ctx.log(NAME).append(...)"
                raise InvalidNameError("log name", name, reason)
            from molexp._assets.streams import LogHandle

            handle = self._logs[name] = LogHandle(self._assets, name, self._task)
        return handle

    @property
    def logger(self) -> logging.Logger:
        """A standard logger into a log of this run (``run``) or task (``tasks/<task>``)."""
        if self._logger is None:
            import logging

            from molexp._assets.log_records import LogStreamHandler
            from molexp._assets.streams import LogHandle

            name = f"molexp.{self._task or 'run'}"
            logger = logging.Logger(name, logging.DEBUG)  # noqa: LOG001 - it goes with its context; a global one stays
            logger.parent = logging.getLogger("molexp")
            logger.addHandler(
                LogStreamHandler(LogHandle(self._assets, f"tasks/{self._task}" if self._task else "run", self._task))
            )
            self._logger = logger
        return self._logger

    @property
    def metrics(self) -> Metrics:
        """Numbers by step."""
        if self._metrics is None:
            from molexp._assets.metrics import Metrics

            self._metrics = Metrics(self._assets, self._task)
        return self._metrics

    def shell(
        self,
        command: Sequence[str | Path] | str,
        *,
        log: str = "shell",
        timeout: float | None = None,
        check: bool = True,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Run a command; its argv, exit code, times and both streams are recorded.

        Args:
            command: a sequence runs as it is; a text is given to the shell.
            log: name of the log for standard output; standard error goes to ``<log>.err``.
            timeout: seconds after which it is killed, with its children.
            check: raise if the exit code is not 0.
            cwd: its working folder; `workdir` if it is not given.
            env: variables over those of this process; their values are not recorded.

        Returns:
            The exit code.

        Raises:
            CommandError: it failed, or ran out of time.
            RuntimeError: this process ignores SIGCHLD, and this is not its main thread.
            FileNotFoundError: there is no such program.
            TypeError, ValueError: the command is an empty sequence, or the timeout is no number.
        """
        from molexp._running.shell import run_command

        return run_command(
            self._assets,
            command,
            task=self._task,
            started=self._began,
            log=log,
            timeout=timeout,
            check=check,
            cwd=cwd or self.workdir,
            env=env,
        )

    # -------------------------------------------------------------------------------------------------------- finding

    @overload
    def find_asset(
        self, name: str, *, kind: type[AssetKind[T, F]], version: int | None = None
    ) -> Asset[T, F] | None: ...

    @overload
    def find_asset(self, name: str, *, kind: str | None = None, version: int | None = None) -> Asset | None: ...

    def find_asset(
        self, name: str, *, kind: type[AssetKind[Any, Any]] | str | None = None, version: int | None = None
    ) -> Asset | None:
        """Find the asset of this name: of this run, else data of its experiment, project or workspace; None if absent.

        What this attempt did not make is on record as used by it from now on.

        Args:
            name: the asset's name.
            kind: its kind, or the name of that.
            version: its version; the newest if None.

        Raises:
            AmbiguousAssetError: several kinds of one scope have the name, and `kind` does not say which.
        """
        found = None if self._assets is None else self._assets.finder.find(name, kind=kind, version=version)
        if found is not None:
            uses(self._recorder, found, "name" if version is None else "version")
        else:
            misses(self._recorder, name, kind_name(kind), version)
        return found

    @overload
    def asset(self, name: str, *, kind: type[AssetKind[T, F]], version: int | None = None) -> Asset[T, F]: ...

    @overload
    def asset(self, name: str, *, kind: str | None = None, version: int | None = None) -> Asset: ...

    def asset(
        self, name: str, *, kind: type[AssetKind[Any, Any]] | str | None = None, version: int | None = None
    ) -> Asset:
        """Return the asset of this name, as `find_asset` does, or raise if there is none.

        Raises:
            NotFoundError: with the nearest names.
            AmbiguousAssetError: several kinds of one scope have the name, and `kind` does not say which.
        """
        if self._assets is None:
            raise NotFoundError("asset", name, hint="There is no run, so there are no assets.")
        found = self._assets.finder.require(name, kind=kind, version=version)
        uses(self._recorder, found, "name" if version is None else "version")
        return found

    @overload
    def __getitem__(self, kind: type[GrowingKind[T, F, Item]]) -> GrowingAccessor[T, F, Item]: ...

    @overload
    def __getitem__(self, kind: type[AssetKind[T, F]]) -> Accessor[T, F]: ...

    def __getitem__(self, kind: type[Any]) -> Accessor[Any, Any]:
        if self._assets is None:
            return Accessor(None)
        return Accessor(self._assets.library.kind_of(kind), self._assets, self._task)

    def __getattr__(self, kind: str) -> Accessor[Any, Any]:
        if kind.startswith("_"):
            raise AttributeError(kind)
        try:
            return self._accessor(kind)
        except (LookupError, PluginError) as error:
            where = f" The run has one: ctx.run.{kind}." if hasattr(type(self.run), kind) else f" {error}"
            raise AttributeError(f"A context has no {kind!r}, and there is no such asset kind.{where}") from None

    def __dir__(self) -> list[str]:
        kinds = self._assets.library.kind_names() if self._assets is not None else []
        return sorted({*super().__dir__(), *kinds})

    # -------------------------------------------------------------------------------------------------------- scratch

    @property
    def workdir(self) -> Path:
        """A private local folder, made on first use; removed when the run succeeds, kept and recorded when it does not.

        It is never the process's current directory. If somebody removed it, it is made anew.
        """
        if self._workdir is None:
            import tempfile
            from pathlib import Path

            label = f"{self.run.id}-" if self.run is not None else ""
            self._workdir = Path(tempfile.mkdtemp(prefix=f"molexp-{label}")).resolve()
            if self._recorder is not None:
                self._recorder.record({"type": "workdir", "at": utc_now(), "path": str(self._workdir)})
        elif not self._workdir.is_dir():
            self._workdir.mkdir(0o700, parents=True)
        return self._workdir

    # --------------------------------------------------------------------------------------------------------- pieces

    def _advised(self, error: SerializationError, name: str) -> SerializationError:
        """Return an error about a result; if a kind saves the value that is in the way, it has the call that does."""
        from molexp._assets.choosing import offer, to_install

        unfit = error.__context__
        if self._assets is None or not isinstance(unfit, Unfit) or isinstance(unfit.value, _PLAIN):
            return error
        library = self._assets.library
        if offered := offer(library, unfit.value, name):
            what = unfit.reason.partition("; ")[0]
            reason = f"{what}; {advice(unfit.value, in_run=True, offer=offered)}"
        elif offered := to_install(library, unfit.value, name):
            reason = f"{unfit.reason}; or {offered}"
        else:
            return error
        return SerializationError(error.path, error.type_name, reason)

    def _began(self, process: subprocess.Popen[bytes]) -> None:
        """Note that a command of `shell` runs; the call waits for its end."""

    def _accessor(self, kind: str) -> Accessor[Any, Any]:
        if (found := self._accessors.get(kind)) is None:
            if self._assets is None:
                return Accessor(None)
            known = self._assets.library.kind(kind)
            found = self._accessors[kind] = Accessor(known, self._assets, self._task)
        return found

    def _choose(self, name: str, obj: Any) -> str:
        from molexp._assets.choosing import kinds_for, no_kind

        assert self._assets is not None
        found = kinds_for(self._assets.library, obj)
        if len(found) == 1:
            return found[0]
        if found:
            raise AssetError(f"Several kinds accept {name!r}: {', '.join(found)}. Say which with kind=...", name=name)
        raise no_kind(name, obj, self._assets.library)


def describe_error(
    error: BaseException, assets: AttemptAssets | None, task: str | None, *, name: str = "error-trace"
) -> dict[str, Any]:
    """Save an error's traceback, of the run or of a task; returns what the record says of the error."""
    described: dict[str, Any] = {"type": type_name(error), "message": message_of(error)[:4096], "task": task}
    if assets is None:
        return described
    try:
        name = f"tasks/{task}/{name}" if task else name
        saved = Accessor(assets.library.kind(ErrorTraceKind.name), assets, task)
        asset = saved.save(name, _trace(error, described), **described)
        described["trace"] = asset.id if asset is not None else None
    except MolexpError as problem:
        described["problem"] = str(problem)
    return described


def _trace(error: BaseException, described: Mapping[str, Any]) -> str:
    """Return the traceback; of one that is longer than anybody reads, the beginning and the end."""
    import traceback

    try:
        text = "".join(traceback.format_exception(error))
    except Exception as worse:  # noqa: BLE001 - notes, causes and groups are a stranger's code, too
        at = "".join(traceback.format_tb(error.__traceback__))
        text = f"{at}{described['type']}: {described['message']}\n<the rest raised {type(worse).__name__}>\n"
    if (more := len(text) - _LONGEST_TRACE) > 0:
        half = _LONGEST_TRACE // 2
        text = f"{text[:half]}\n... {more} characters are left out ...\n{text[-half:]}"
    return text
