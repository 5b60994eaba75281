"""Projects: related experiments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from molexp._hierarchy.experiment import Experiment
from molexp._hierarchy.scopes import Scope, change_in_order, raise_first
from molexp._html import shown_by
from molexp._record.definitions import Members, choose_id, is_there, member_ids, require
from molexp._record.revisions import define_experiment, look_up_definition
from molexp._storage import layout, schemas
from molexp._values.documents import check_schema

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session
    from molexp._hierarchy.workspace import Workspace

ExperimentT = Experiment


class Project(Scope):
    """Related experiments.

    Attributes:
        id: its id, unique in the workspace.
        path: the same as `id`.
        workspace: the workspace.

    Example:
        >>> project = ws.Project("Noble gases")
        >>> project.id
        'noble-gases'
        >>> exp = project.Experiment("pair", params={"sigma": 3.4})
        >>> project.experiment("pair") == exp
        True
        >>> project.rename("Rare gases")
        >>> (project.name, project.id)
        ('Rare gases', 'noble-gases')
        >>> project.delete()
        >>> project.deleted
        True
        >>> project.restore()
    """

    def __init__(self, workspace: Workspace, id: str, definition: dict[str, Any] | None) -> None:
        self.workspace = workspace
        self.id = id
        self.path = id
        self._definition = definition
        self._session: Session = workspace._session

    _repr_html_ = shown_by("project")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.workspace, self.id, self._definition)

    def delete(self) -> None:
        """Delete all runs of all its experiments, and leave it out of lists once `Workspace.gc` has freed them.

        Raises:
            RunBusyError: a run is being executed; it, its experiment and the project stay, the others are deleted.
            CorruptRecordError: the same of a run or an experiment that cannot be read.
        """
        self._check_writable()
        raise_first(self.path, "deleted", change_in_order(self._each(self.experiments.ids()), Experiment.delete))
        self._mark(deleted=True)

    def restore(self) -> None:
        """Show it again, and all its deleted runs that were not freed yet."""
        self._check_writable()
        self._mark(deleted=False)
        store = self._session.store
        there = [name for name in member_ids(store, self.path) if is_there(store, f"{self.path}/{name}")]
        raise_first(self.path, "restored", change_in_order(self._each(there), Experiment.restore))

    def _each(self, names: Iterable[str]) -> list[ExperimentT]:
        """Return experiments whose definitions are read when they are needed: one that cannot be read hinders no other."""
        return [Experiment(self, name, None) for name in names]

    def _check_writable(self) -> None:
        check_schema(
            self._definition or require(self._session.store, self.path), layout.document(self.path), schemas.DEFINITION
        )

    def Experiment(
        self,
        name: str,
        *,
        params: Mapping[str, Any] | None = None,
        space: Iterable[Mapping[str, Any]] | None = None,
        replicas: int | None = None,
        workflow_source: str | os.PathLike[str] | None = None,
        id: str | None = None,
        update: bool = False,
    ) -> ExperimentT:
        """Get or create an experiment.

        Args:
            name: free text; the id is made from it unless one is given.
            params: parameters that all its runs share.
            space: parameter dicts to run, recorded for people. Of an experiment that exists, it counts in this process, and is
                recorded with `update` only: the record has the one from before.
            replicas: The number of runs of each, as `space`.
            workflow_source: the file that its workflow comes from, recorded for people.
            id: its id.
            update: claim a new revision of the definition if something given differs from it.

        Raises:
            ConflictError: it exists with other params, and `update` is false.
            InvalidNameError: neither name nor id can be used.
            SerializationError: a parameter that JSON cannot carry, NaN included; names its path and type.
        """
        definition = define_experiment(
            self._session,
            self.id,
            name,
            self._check_writable,
            params=params,
            space=space,
            replicas=replicas,
            workflow_source=workflow_source,
            id=id,
            update=update,
        )
        return Experiment(self, choose_id(name, id, "experiment"), definition, space, replicas)

    def experiment(self, id: str) -> ExperimentT:
        """Look up an experiment.

        Raises:
            NotFoundError: with the nearest names.
        """
        return Experiment(self, id, look_up_definition(self._session.store, self.id, id))

    @property
    def experiments(self) -> Members[ExperimentT]:
        """Its experiments, by id."""
        return Members(self._session.store, self.id, self.experiment)
