"""Experiments: repeatable definitions, and the runs under them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from molexp._hierarchy.past_runs import PastRuns
from molexp._hierarchy.run import Run
from molexp._hierarchy.scopes import Scope, change_all
from molexp._hierarchy.session import Session
from molexp._html import shown_by
from molexp._record.definitions import WAS_DELETED, deleted, has_attempts, is_run, member_ids, not_there
from molexp._record.looking import look_at
from molexp._record.reading import read_definition
from molexp._record.revisions import checked_replicas, require_definition
from molexp._storage import layout, schemas
from molexp._values.copies import own_copy
from molexp._values.documents import check_schema, count
from molexp._values.ids import check_run_id, is_id
from molexp._values.kept import kept
from molexp._values.numbers import whole
from molexp._values.plain import plain_parameters, restore
from molexp._values.tables import RUN_COLUMNS, Rows
from molexp.errors import CorruptRecordError, NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.project import Project
    from molexp._hierarchy.run_creation import Made
    from molexp._hierarchy.run_rows import RunRow

RunT = Run
F = TypeVar("F", bound="Callable[[Any], Any]")


def _functions() -> Any:
    """Return the module that executes functions, which is above this one: decision 25 says why it is named here."""
    return import_module("molexp._workflow.functions")


class Experiment(PastRuns[Run], Scope):
    """A repeatable definition: fixed params, optionally a space of parameters and a number of replicas.

    A handle holds the revision that it was made with.

    Attributes:
        id: its id, unique in the project.
        path: ``project/experiment``.
        project: the project.

    Example:
        >>> exp = ws.Project("metals").Experiment("sweep", space=me.grid(a=[3.5, 3.6]))
        >>> len(exp.runs.create_many())
        2
        >>> run = exp.Run({"a": 3.7}, id="large")
        >>> exp.run("large") == run
        True
        >>> exp.derived_run({"a": 3.7}).id == exp.derived_id({"a": 3.7})
        True
        >>> exp.rename("A sweep of the lattice constant")
        >>> (exp.name, exp.id)
        ('A sweep of the lattice constant', 'sweep')
        >>> exp.delete()
        >>> (exp.deleted, len(exp.runs))
        (True, 0)
        >>> exp.restore()
        >>> (exp.deleted, len(exp.runs))
        (False, 4)
        >>> def relax(ctx):
        ...     ctx.set_result("energy", -ctx.params["a"])
        >>> rows = exp.sweep(relax, space={"a": [3.5, 3.6]}, progress=False)
        >>> [row.results["energy"] for row in rows]
        [-3.5, -3.6]
        >>> exp.bind(relax) is relax  # for `molexp run`
        True
    """

    def __init__(
        self,
        project: Project,
        id: str,
        definition: dict[str, Any] | None,
        space: Iterable[Mapping[str, Any]] | None = None,
        replicas: int | None = None,
    ) -> None:
        self.project = project
        self.id = id
        self.path: str = f"{project.id}/{id}"
        self._session: Session = project._session
        self._definition = definition
        self._space = own_copy(space)
        self._replicas = replicas

    _repr_html_ = shown_by("experiment")

    def __reduce__(self) -> tuple[Any, ...]:
        space = self._space if isinstance(self._space, Sequence) else None  # a generator stays where it is
        return type(self), (self.project, self.id, self._definition, space, self._replicas)

    # ------------------------------------------------------------------------------------------------------ what it is

    def delete(self) -> None:
        """Delete all its runs, and leave it out of lists once `Workspace.gc` has freed them.

        A run that is made in it later is there, and so is the experiment.

        Raises:
            RunBusyError, CorruptRecordError: a run is being executed or cannot be read; the others are deleted.
        """
        self._check_writable()
        change_all(self._session.store, self.path, "deleted", self.runs, _delete_once)
        self._mark(deleted=True)

    def restore(self) -> None:
        """Show it again, and all its deleted runs that were not freed yet."""
        self._check_writable()
        self._mark(deleted=False)
        store = look_at(self._session.store, self.path)
        hidden = [Run(self, name) for name in member_ids(store, self.path) if deleted(store, f"{self.path}/{name}")]
        change_all(self._session.store, self.path, "restored", hidden, Run.restore)

    @property
    def definition(self) -> Mapping[str, Any]:
        """Its definition as it is stored.

        Raises:
            CorruptRecordError: it cannot be read. Its runs can, which repeat what they are made from.
        """
        return dict(own_copy(self._known()))

    def _known(self) -> dict[str, Any]:
        """Return the definition itself, which nobody changes."""
        if self._definition is None:
            self._definition = require_definition(self._session.store, self.path)
        return self._definition

    @kept
    def _repeated(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the facts that the definition of each run repeats of it, and its params, over which a run has its own.

        Raises:
            SchemaError: a newer MolExp has made it: nothing is created in it.
        """
        self._check_writable()
        said = {"project": self.project.id, "experiment": self.id, "experiment_revision": self.revision}
        return said, self._known().get("params") or {}

    def _check_writable(self) -> None:
        check_schema(self._known(), layout.definition_key(self.path, self.revision), schemas.DEFINITION)

    @property
    def own_params(self) -> dict[str, Any]:
        """Its fixed parameters as they are stored."""
        found: dict[str, Any] = own_copy(self._known().get("params") or {})
        return found

    @property
    def params(self) -> Mapping[str, Any]:
        """Its fixed parameters."""
        found: dict[str, Any] = restore(self.own_params)
        return found

    @property
    def revision(self) -> int:
        """The number of its definition: 1, and one more with every update."""
        return count(self._known().get("revision")) or 1

    @property
    def space(self) -> Iterable[Mapping[str, Any]] | None:
        """The parameter dicts to run: as given in this process, else as recorded; None if there is none."""
        if self._space is not None:
            given: Iterable[Mapping[str, Any]] = own_copy(self._space)
            return given
        recorded = self._known().get("space")
        return restore(recorded) if isinstance(recorded, list) else None

    @property
    def replicas(self) -> int:
        """The number of runs of each point: as given in this process, else as recorded."""
        return whole(self._replicas) or count(self._known().get("replicas")) or 1

    @property
    def workflow_source(self) -> str | None:
        """The file that its workflow was said to come from."""
        found = self._known().get("workflow_source")
        return str(found.get("file")) if isinstance(found, dict) else None

    # ------------------------------------------------------------------------------------------------------------ runs

    @property
    def runs(self) -> Runs:
        """Its runs as the files show them now, by id; archived ones, too."""
        return Runs(self)

    def run(self, id: str) -> RunT:
        """Look up a run; capitals do not count.

        Raises:
            NotFoundError: with the nearest names.
        """
        path = f"{self.path}/{str(id).lower()}"
        try:
            check_run_id(id)
            definition = read_definition(self._session.store, path, {})
        except CorruptRecordError:
            definition = None  # whoever needs it is told
        except (NotFoundError, ValueError):
            if isinstance(id, str) and is_id(id.lower()) and has_attempts(self._session.store, path):
                definition = None  # the same
            else:
                raise not_there(self._session.store, self.path, id) from None
        if deleted(self._session.store, path):
            raise NotFoundError("run", id, where=repr(self.path), hint=WAS_DELETED)
        return Run(self, id, definition=definition)

    def Run(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        replica: int | None = None,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> RunT:
        """Get or create a run.

        Args:
            parameters: its own parameters, over the experiment's params; each is a unit, nested ones are not merged.
            id: its id; without one it is always a new run, with a time-sortable id.
            replica: its replica index, from 0.
            profile: name of the profile to resolve, from the profile file beside the script or in the current
                directory (``molcfg.yaml``, ``.yml``, ``.toml`` or ``.json``).
            overrides: values over the profile's, by dotted name. Where there is a profile file, a name that it does
                not have begins with ``+``.

        Raises:
            ConflictError: it exists with other own parameters, another replica or configuration. What is not given
                has no opinion.
            InvalidNameError: the id cannot be used.
            ProfileError: there is no such profile or no profile file, the file is wrong, or an override names what
                is not there.
            SerializationError: a parameter that JSON cannot carry, NaN included; names its path and type.
        """
        from molexp._hierarchy.run_creation import make_run

        made = make_run(self, parameters, id=id, replica=replica, profile=profile, overrides=overrides)
        run = Run(self, made.id, definition=made.definition, untried=made.untried)
        if id is None and made.untried:
            run._made_up_at = time.time()
        return run

    def derived_run(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        replica: int = 0,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> RunT:
        """Get or create the run whose id follows from its parameters, replica and configuration.

        The scheme is the workspace's (setting ``run_id_scheme``, by default ``molexp-1``).

        Raises:
            ProfileError: there is no such profile or no profile file, the file is wrong, or an override names what
                is not there.
            SerializationError: a parameter that JSON cannot carry, NaN included; names its path and type.
            PluginMissingError: the scheme is not installed.
        """
        from molexp._hierarchy.run_creation import Deriving

        return self._run_of(Deriving(self, profile, overrides).run(parameters or {}, replica))

    def derived_id(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        replica: int = 0,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> str:
        """Return the id of the run that `derived_run` would get or create, and create nothing. Raises as that does."""
        from molexp._hierarchy.run_creation import Deriving

        return Deriving(self, profile, overrides).id_of(parameters or {}, replica)

    # ------------------------------------------------------------------------------------------------------- functions

    def bind(self, function: F) -> F:
        """Let ``molexp run`` execute a function for each point of the space, as it does a workflow; return the function.

        Args:
            function: a function of one `Context`, plain or async; it becomes a workflow of one task.

        Raises:
            TypeError: it is no function of one context.
        """
        _functions().bind(self, function)
        return function

    def sweep(
        self,
        function: Callable[[Any], Any],
        *,
        space: Mapping[str, Iterable[Any]] | Iterable[Mapping[str, Any]] | None = None,
        replicas: int | None = None,
        jobs: int | None = None,
        on_error: Literal["continue", "stop"] = "continue",
        executor: str | None = None,
        progress: bool = True,
    ) -> Rows[RunRow]:
        """Run a function once for every point of a space, and return the rows of its runs, in the order of the points.

        The runs have derived ids: another call finds them, skips those that succeeded, and executes the others again.
        ``molexp run`` finds the same runs. Ctrl-C ends the runs that are being executed, and is raised.

        Args:
            function: a function of one `Context`, plain or async.
            space: the points: a dict of lists stands for every combination, as in `grid`; otherwise parameter dicts. The
                experiment's own space by default.
            replicas: the number of runs of each point; by default one, and for the experiment's own space its own number.
            jobs: the number of runs at a time; by default one, and for an executor with a queue as many as that allows.
            on_error: ``"continue"`` with the other runs after a failure, or ``"stop"``: begin no further run.
            executor: ``"inline"``, in threads of this process; ``"process"``, in processes of this machine, for which the
                function has to be at the top level of a module or script; or the name of a plugin's. By default the
                profile's, else ``inline``.
            progress: write the progress to standard error: a line that is drawn anew on a terminal, a few lines elsewhere.

        Raises:
            TypeError: it is no function of one context, or the space is no iterable of dicts.
            ValueError: `on_error` is another word, or `jobs` or `replicas` is below 1.
            SerializationError: a parameter that JSON cannot carry, NaN included; names its path and type.
            PluginMissingError: there is no such executor; with the nearest names.
            NotPicklableError: another process could not find the function.
            ExecutorError: with processes, the script starts its work outside of ``if __name__ == "__main__":``.
        """
        rows: Rows[RunRow] = _functions().sweep(
            self,
            function,
            space=space,
            replicas=replicas,
            jobs=jobs,
            on_error=on_error,
            executor=executor,
            progress=progress,
        )
        return rows

    def _run_of(self, made: Made) -> RunT:
        return Run(self, made.id, definition=made.definition, untried=made.untried)


class Runs(Rows[Run]):
    """The runs of an experiment, by id.

    Example:
        >>> [run.id for run in exp.runs]
        ['cu-small']
        >>> "cu-small" in exp.runs
        True
    """

    def __init__(self, experiment: Experiment) -> None:
        super().__init__((), _describe, RUN_COLUMNS)
        del self._rows  # they are looked for when they are first asked for
        self._experiment = experiment

    @kept
    def _rows(self) -> list[Run]:
        experiment, store = self._experiment, self._experiment._session.store
        there = look_at(store, experiment.path)
        names = member_ids(there, experiment.path)
        return [Run(experiment, name) for name in names if is_run(there, f"{experiment.path}/{name}")]

    def __contains__(self, member: object) -> bool:
        if isinstance(member, str):
            member = Run(self._experiment, member) if is_id(member.lower()) else None
        store = self._experiment._session.store
        if not isinstance(member, Run) or member.experiment != self._experiment:
            return False
        return is_run(look_at(store, member.path), member.path)

    def create_many(
        self, space: Iterable[Mapping[str, Any]] | None = None, *, replicas: int | None = None
    ) -> Rows[Run]:
        """Get or create the derived run of every point and replica, in order.

        Args:
            space: the points; the experiment's own by default.
            replicas: The number of runs of each; by default one, and for the experiment's own space its own number.

        Raises:
            SerializationError: a parameter that JSON cannot carry, NaN included; nothing was created.
            TypeError: the space is no iterable of dicts; nothing was created.
        """
        own = space is None
        space = self._experiment.space if space is None else space
        times = (
            checked_replicas(space, replicas if replicas is not None else self._experiment.replicas if own else 1) or 1
        )
        points = [
            plain_parameters(dict(point), f"space[{number}]")
            for number, point in enumerate([{}] if space is None else space)
        ]  # all of them before the first is created
        from molexp._hierarchy.run_creation import Deriving

        made = Deriving(self._experiment).all((point, replica) for point in points for replica in range(times))
        return Rows(map(self._experiment._run_of, made), _describe, RUN_COLUMNS)


def _describe(run: Run) -> dict[str, Any]:
    return {"path": run.path, **run.to_dict()}


def _delete_once(run: Run) -> None:
    """Delete a run, unless somebody else did so since it was found."""
    try:
        run.delete()
    except NotFoundError:
        if is_run(run._session.store, run.path):
            raise
