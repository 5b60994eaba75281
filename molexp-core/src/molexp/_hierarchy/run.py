"""Runs: one identity under an experiment, and what has become of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from molexp._hierarchy.scopes import Entity
from molexp._html import shown_by
from molexp._storage import layout, schemas
from molexp._storage.local_keys import key_of
from molexp._values.documents import check_schema, count
from molexp._values.ids import labels, spelled
from molexp._values.paths import is_local, is_remote
from molexp._values.plain import restore
from molexp._values.status import RunStatus
from molexp.errors import CorruptRecordError, NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._assets.data_assets import DataAssets
    from molexp._assets.logs import LogReader, Logs
    from molexp._assets.run_metrics import RunMetrics
    from molexp._hierarchy.experiment import Experiment
    from molexp._hierarchy.run_context import RunContext, SkippedRun
    from molexp._hierarchy.session import Session
    from molexp._record.folding import RunState
    from molexp._values.graph import WorkflowGraph
    from molexp.contracts import AssetKind
    from molexp.contracts._assets import Asset

T = TypeVar("T")
F = TypeVar("F")


class Run(Entity):
    """One identity under an experiment.

    Attributes read the record at the time of access; nothing is cached but the definition, which never changes.

    Attributes:
        path: ``project/experiment/run``, in lower case.
        experiment: the experiment.

    Example:
        >>> run = exp.Run({"a": 3.5}, id="cu-new")
        >>> with run.start() as ctx:
        ...     ctx.set_result("energy", -3.7)
        ...     _ = ctx.artifact.save("volumes.json", [1.0, 2.0])
        ...     ctx.log("relax").append("converged")
        ...     ctx.metrics.log(step=1, force=0.5)
        ...     run.flush()  # others see it now
        >>> print(run.status, run.results["energy"], run.asset("volumes.json").load())
        succeeded -3.7 [1.0, 2.0]
        >>> run.log("relax").tail(1), run.metrics.last["force"]
        (['converged'], 0.5)
        >>> run.annotate(tags=["checked"], note="as published")
        >>> run.to_dict()["tags"]
        ['checked']
        >>> run.archive()
        >>> run.unarchive()
        >>> run.delete()
        >>> run.restore()
        >>> exp.Run().cancel("not needed")
    """

    def __init__(
        self, experiment: Experiment, id: str, *, definition: dict[str, Any] | None = None, untried: bool = False
    ) -> None:
        self.experiment = experiment
        self._id = id
        self.path: str = f"{experiment.path}/{id.lower()}"
        self._session: Session = experiment._session
        self._definition = definition
        self._untried = untried  # this process created it and has not started it: nobody else is likely to have
        self._made_up_at = 0.0  # when its id was made up, in seconds since 1970, if that was done here

    _repr_html_ = shown_by("run")

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), definition=self._definition), (self.experiment, self._id)

    # ------------------------------------------------------------------------------------------------------ what it is

    @property
    def id(self) -> str:
        """Its id, unique in the experiment in whatever case it is written; as it was when the run was made."""
        if self._definition is None:
            try:
                self._defined()
            except (NotFoundError, CorruptRecordError, StoreError):
                return self._id
        return spelled((self._definition or {}).get("id"), self.path.rpartition("/")[2])

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The experiment's params overridden by its own, as they were when it was created."""
        return self._mapping("parameters")

    @property
    def own_parameters(self) -> Mapping[str, Any]:
        """Its own parameters, unmerged."""
        return self._mapping("own_parameters")

    @property
    def replica(self) -> int:
        """The replica's index, from 0."""
        return count(self._defined().get("replica"))

    @property
    def seed(self) -> int:
        """A seed for random numbers that follows from parameters and replica: see `Context.seed`."""
        from molexp._values.sweeps import seed_of

        return seed_of(self._defined().get("parameters") or {}, self.replica)

    @property
    def profile(self) -> str | None:
        """Name of the profile it was made with."""
        return self._defined().get("profile")

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved profile with overrides; empty without one."""
        return self._mapping("config")

    @property
    def created_at(self) -> str:
        """The time at which it was created, in UTC, ISO 8601."""
        return str(self._defined().get("created_at"))

    def _mapping(self, name: str) -> Mapping[str, Any]:
        found: dict[str, Any] = self._value(self._defined().get(name) or {})
        return found

    def _defined(self) -> dict[str, Any]:
        """Return what ``run.json`` said when it was created; nobody changes it.

        Raises:
            NotFoundError: there is no such run.
            CorruptRecordError: no copy of it can be read.
        """
        if self._definition is None:
            from molexp._record.reading import read_definition

            self._definition = read_definition(self._session.store, self.path, {})
        return self._definition

    # ------------------------------------------------------------------------------------------------- what became of it

    @property
    def status(self) -> RunStatus:
        """Its status. An attempt whose owner is found to be dead is ended as ``interrupted``."""
        return self._session.standing(self.path, self._state())

    @property
    def cause(self) -> str | None:
        """The cause of the end of its newest attempt, as a `Cause`, such as ``exception``, ``signal`` or ``walltime``.

        None while it goes on, if it succeeded, and where nothing tells.
        """
        return self._state().cause

    @property
    def as_of(self) -> str | None:
        """The time at which it was last seen running elsewhere, in UTC, if this is a copy that a sync keeps; None otherwise.

        Its status is ``running`` then, whatever has become of it since: the next sync tells.
        """
        return self._state().as_of or None

    @property
    def results(self) -> Mapping[str, Any]:
        """The results that `Context.set_result` recorded, folded over the attempts; references are assets and paths again."""
        results: Mapping[str, Any] = self._value(self._state().results)
        return results

    @property
    def metrics(self) -> RunMetrics:
        """Its metrics over all attempts: by name the last, least and greatest value, and a table of all points.

        The summary of a run that goes on is as of its newest sign of life. What you ask for is read when you ask for it.
        """
        from molexp._assets.run_metrics import RunMetrics
        from molexp._record.metrics import run_metrics

        state = self._state()
        session = self._session

        def summary() -> Mapping[str, Any]:
            found: Mapping[str, Any] = self._value(run_metrics(session.store, self.path, state).get("metrics") or {})
            return found

        send = partial(session.process.send, session.store, self.path)
        return RunMetrics(summary, self.path, session.library, state.attempts, send)

    @property
    def execution_history(self) -> Sequence[Mapping[str, Any]]:
        """The attempts, oldest first: status, cause, times, host, pid, reason, error."""
        return self._state().history

    @property
    def tasks(self) -> Mapping[str, Mapping[str, Any]]:
        """The newest record of each task of its workflows: status, seconds, retries, why, output."""
        return self._state().tasks()

    @property
    def provenance(self) -> Mapping[str, Any] | None:
        """The origin of its newest attempt's process: git commit, python, packages; None if nothing is known."""
        return self._session.provenance_of(self._state())

    @property
    def workflow_graph(self) -> WorkflowGraph | None:
        """The graph of the workflow that its newest attempt executed, with what became of each task.

        It is as the attempt recorded it, whatever the code says today. None if no attempt executed a workflow, or an
        older MolExp did, which recorded no graph. Of several workflows in one attempt it is the last.

        Raises:
            NotFoundError: there is no such run, or it was deleted.
            CorruptRecordError: the graph's document cannot be read.
        """
        from molexp._record.reading import read_graph

        return read_graph(self._session.store, self._state())

    @property
    def tags(self) -> frozenset[str]:
        """Its tags."""
        return frozenset(self._state().edits.tags)

    @property
    def notes(self) -> Sequence[Mapping[str, Any]]:
        """Its notes, oldest first: at, by, text."""
        return self._state().edits.notes

    @property
    def archived(self) -> bool:
        """Tell whether it was archived."""
        return self._state().edits.archived

    @property
    def assets(self) -> list[Asset]:
        """The assets of all its attempts, oldest first."""
        return [self._session.library.asset(record) for record in self._state().assets()]

    @property
    def logs(self) -> Logs:
        """Its logs, by name; the newest attempt's where several wrote one."""
        from molexp._assets.logs import Logs

        return Logs(self._session.store, self._state().assets())

    def log(self, name: str) -> LogReader:
        """Return one of its logs, all attempts joined: the same as ``run.logs[name]``.

        Raises:
            NotFoundError: with the nearest names.
        """
        return self.logs[name]

    @overload
    def asset(self, name: str, *, kind: type[AssetKind[T, F]], version: int | None = None) -> Asset[T, F]: ...

    @overload
    def asset(self, name: str, *, kind: str | None = None, version: int | None = None) -> Asset: ...

    def asset(
        self, name: str, *, kind: type[AssetKind[Any, Any]] | str | None = None, version: int | None = None
    ) -> Asset:
        """Return the asset of this name: of the newest attempt that has it, else data of its parents.

        Raises:
            NotFoundError: with the nearest names.
            AmbiguousAssetError: several kinds have the name, and `kind`, a kind or its name, does not say which.
        """
        from molexp._assets.lookup import Finder

        self._session.process.send(self._session.store, self.path)
        finder = Finder(self._session.library, self.path, layout.folder(self.path), self._scopes)
        return finder.require(name, kind=kind, version=version)

    def _state(self) -> RunState:
        return self._session.state_of(self.path)

    def _editable(self) -> RunState:
        """Return its state, if this version may write to it.

        Raises:
            NotFoundError: there is no such run, or it was deleted.
            SchemaError: it was written by a newer MolExp.
        """
        state = self._state()
        check_schema(state.definition, layout.document(self.path), schemas.DEFINITION)
        return state

    def to_dict(self) -> dict[str, Any]:
        """Return ``run.json`` as it would be written now."""
        document: dict[str, Any] = self._value(self._session.document_of(self.path))
        return document

    # ----------------------------------------------------------------------------------------------------------- doing

    @overload
    def start(
        self,
        *,
        fresh: bool = False,
        wait: float = 0.0,
        if_succeeded: Literal["rerun", "error"] = "rerun",
        capture: bool = False,
    ) -> RunContext: ...

    @overload
    def start(
        self, *, fresh: bool = False, wait: float = 0.0, if_succeeded: Literal["skip"], capture: bool = False
    ) -> RunContext | SkippedRun: ...

    def start(
        self,
        *,
        fresh: bool = False,
        wait: float = 0.0,
        if_succeeded: Literal["rerun", "error", "skip"] = "rerun",
        capture: bool = False,
    ) -> RunContext | SkippedRun:
        """Start an attempt at it; leave the returned context to end it.

        Args:
            fresh: results start empty, instead of from what earlier attempts recorded.
            wait: seconds to wait for a live attempt to end.
            if_succeeded: ``"error"`` refuses to repeat a run that succeeded. ``"skip"`` returns a `SkippedRun` for it, which
                is false: ``if ctx := run.start(if_succeeded="skip"):``, and below that ``with ctx:``.
            capture: record standard output and error, child processes included, as the logs ``stdout``, ``stderr``.

        Raises:
            RunBusyError: an attempt is alive; names host, pid and age.
            RunFinishedError: it succeeded, and ``if_succeeded="error"``.
            NotFoundError: it was deleted.
            SchemaError: it was written by a newer MolExp.
            TypeError, ValueError: there is no such ``if_succeeded``, or ``wait`` is no number.
        """
        from molexp._hierarchy.run_context import begin, start_captured, start_unless_done

        if if_succeeded == "skip":
            return start_unless_done(self, fresh=fresh, wait=wait, capture=capture)
        if capture:
            return start_captured(self, fresh=fresh, wait=wait, if_succeeded=if_succeeded)
        return begin(self, fresh=fresh, wait=wait, if_succeeded=if_succeeded)

    def cancel(self, reason: str = "") -> None:
        """Ask it to stop: the owner of a live attempt sees the request at its next beat.

        A run that was never started counts as cancelled at once, until somebody starts it all the same. The job of a queue
        that has it leaves it alone. For a finished run that is not queued it does nothing.

        Raises:
            TypeError, ValueError: the reason is no text, or has more than 65 536 characters.
        """
        state = self._editable()
        if not state.attempts or self._session.standing(self.path, state) in (RunStatus.QUEUED, RunStatus.RUNNING):
            self._edit("cancel", attempt=state.attempts[-1].number if state.attempts else 0, reason=reason)

    def delete(self) -> None:
        """Hide it at once; `restore` shows it again until `Workspace.gc` has freed its bytes.

        Raises:
            RunBusyError: an attempt is alive.
        """
        state = self._editable()
        if state.status is RunStatus.RUNNING:
            from molexp._record.attempts import busy

            raise busy(self.path, state.attempts[-1])
        self._edit("delete")

    def restore(self) -> None:
        """Show it again after `delete`, as long as `Workspace.gc` has not freed it. For a run that is there it does nothing.

        Raises:
            NotFoundError: there is no such run, or it was freed.
        """
        from molexp._record.deletions import restore

        restore(self._session, self.path)

    def archive(self) -> None:
        """Leave it out of lists from now on: `Catalog.runs` shows it if it is asked for archived runs."""
        if not self._editable().edits.archived:
            self._edit("archive")

    def unarchive(self) -> None:
        """Show it in lists again."""
        if self._editable().edits.archived:
            self._edit("unarchive")

    def annotate(self, *, tags: Iterable[str] = (), untag: Iterable[str] = (), note: str | None = None) -> None:
        """Add and remove tags, add a note.

        Raises:
            TypeError: one of them is no text.
            ValueError: a tag is empty or has more than 200 characters, or the note has more than 65 536.
        """
        from molexp._record.edits import checked_note

        added, removed, note = labels(tags), labels(untag, new=False), checked_note(note)
        if not (added or removed or note):
            return
        self._editable()
        self._edit("annotate", tags=added, untag=removed, note=note)

    def _edit(self, op: str, **values: Any) -> None:
        from molexp._record.edits import write_edit

        write_edit(self._session, self.path, op, **values)

    def flush(self) -> None:
        """Bring everything that this process records for it right now into the store."""
        for attempt in self._session.process.heart.attempts():
            if attempt.path == self.path and attempt.store.url == self._session.store.url:
                attempt.flush()

    # ------------------------------------------------------------------------------------------------------ references

    def _scopes(self) -> tuple[DataAssets, DataAssets, DataAssets]:
        """Return the data of its experiment, project and workspace."""
        from molexp._assets.data_assets import DataAssets

        of, parts = partial(DataAssets, self._session), self.path.split("/")
        return of("/".join(parts[:2])), of(parts[0]), of("")

    def _refer(self, value: Any) -> Any:
        """Return how a result that is an asset, or a path inside the workspace, is stored; None for anything else."""
        from molexp.contracts._assets import Asset

        if isinstance(value, Asset | Run):
            from molexp._hierarchy.references import refer

            return refer(self._session, value)
        if is_local(value) or is_remote(value):
            key = key_of(self._session.store, value)
            return {"$key": key} if key is not None else str(value)
        return None

    def _value(self, stored: Any) -> Any:
        from molexp._hierarchy.references import reference_resolver

        return restore(stored, resolve=reference_resolver(self._session))
