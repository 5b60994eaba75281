"""Experiments: repeatable definitions, and the runs under them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molexp._record import keys
from molexp._record.definitions import SCHEMA, deleted, look_up, member_ids
from molexp._record.home import DEFAULT_SCHEME, Home
from molexp._record.revisions import check_space, definition_key, plain_parameters
from molexp._record.rows import RUN_COLUMNS, Rows
from molexp._record.run import Run
from molexp._values.canonical import canonical_equal, canonical_hash
from molexp._values.documents import check_schema, encode_pretty
from molexp._values.ids import check_id, nearest, new_run_id, new_token
from molexp._values.plain import restore
from molexp._values.times import utc_now
from molexp.contracts import RunIdentity
from molexp.errors import ConflictError, CorruptRecordError, KeyExistsError, NotFoundError

if TYPE_CHECKING:
    from molexp._record.data import DataAssets
    from molexp._record.project import Project

RunT = Run

RESERVED = ("executor", "resources", "scheduler")  # keys of a configuration that do not make another run

_SHOWN = {"own_parameters": "parameters"}  # in the words of whoever gave them
_EMPTY_HASH = canonical_hash({})


class Experiment:
    """A repeatable definition: fixed params, optionally a space of parameters and a number of replicas.

    A handle holds the revision of the definition that it was made with.

    Attributes:
        id: its id, unique in the project.
        path: ``project/experiment``.
        project: the project.
    """

    def __init__(
        self,
        project: Project,
        id: str,
        definition: dict[str, Any],
        space: Iterable[Mapping[str, Any]] | None = None,
        replicas: int | None = None,
    ) -> None:
        self.project = project
        self.id = id
        self.path: str = f"{project.id}/{id}"
        self.home: Home = project.home
        self._definition = definition
        self._params: dict[str, Any] = definition.get("params") or {}
        self._space = space
        self._replicas = replicas
        self._runs_folder: str = keys.members(self.path)

    def __repr__(self) -> str:
        return f"<Experiment {self.path}>"

    def __reduce__(self) -> tuple[Any, ...]:
        space = self._space if isinstance(self._space, Sequence) else None  # a generator stays where it is
        return type(self), (self.project, self.id, self._definition, space, self._replicas)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Experiment):
            return NotImplemented
        return (self.path, self.home.store.url) == (other.path, other.home.store.url)

    def __hash__(self) -> int:
        return hash((self.path, self.home.store.url))

    # ------------------------------------------------------------------------------------------------------ what it is

    @property
    def name(self) -> str:
        """Its name as it was first given."""
        return str(self._definition.get("name") or self.id)

    @property
    def params(self) -> Mapping[str, Any]:
        """Its fixed parameters."""
        found: dict[str, Any] = restore(self._params)
        return found

    @property
    def revision(self) -> int:
        """The number of its definition: 1, and one more with every update."""
        return int(self._definition.get("revision") or 1)

    @property
    def space(self) -> Iterable[Mapping[str, Any]] | None:
        """The parameter dicts to run: as given in this process, else as recorded; None if there is none."""
        if self._space is not None:
            return self._space
        recorded = self._definition.get("space")
        return restore(recorded) if isinstance(recorded, list) else None

    @property
    def replicas(self) -> int:
        """How many times each point is to be run: as given in this process, else as recorded."""
        return self._replicas or int(self._definition.get("replicas") or 1)

    @property
    def workflow_source(self) -> str | None:
        """The file that its workflow was said to come from."""
        found = self._definition.get("workflow_source")
        return str(found.get("file")) if isinstance(found, dict) else None

    @property
    def data_assets(self) -> DataAssets:
        """The data that belongs to it."""
        from molexp._record.data import DataAssets

        return DataAssets(self.home, self.path)

    # ------------------------------------------------------------------------------------------------------------ runs

    @property
    def runs(self) -> Runs:
        """Its runs as the files show them now, by id."""
        return Runs(self)

    def run(self, id: str) -> RunT:
        """Look up a run.

        Raises:
            NotFoundError: with the nearest names.
        """
        path = f"{self.path}/{id}"
        try:
            check_id(id, "run id")
            definition = look_up(self.home, path)
        except CorruptRecordError:
            definition = None  # a claim may repeat it
        except NotFoundError:
            if not self.home.store.children(f"{keys.folder(path)}/executions").entries:
                raise
            definition = None  # the same
        except ValueError:
            raise NotFoundError(
                "run", id, where=repr(self.path), nearest=nearest(id, member_ids(self.home, self.path))
            ) from None
        if deleted(self.home, path):
            raise NotFoundError("run", id, where=repr(self.path), hint="It was deleted.")
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
        stated = profile is not None or bool(overrides)
        return self._run(parameters, id, replica, profile, _resolve(profile, overrides), stated, None)

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
        name, run_id, own, config = self._derive(parameters, replica, profile, overrides)
        return self._run(own, run_id, replica, profile, config, True, name)

    def derived_id(
        self,
        parameters: Mapping[str, Any] | None = None,
        *,
        replica: int = 0,
        profile: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> str:
        """The id of the run that `derived_run` would get or create. Nothing is created. Raises as that does."""
        return self._derive(parameters, replica, profile, overrides)[1]

    def _derive(
        self,
        parameters: Mapping[str, Any] | None,
        replica: int,
        profile: str | None,
        overrides: Mapping[str, Any] | None,
    ) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
        """The scheme, the id that it derives, the run's own parameters and its configuration."""
        name = str(self.home.settings.get("run_id_scheme") or DEFAULT_SCHEME)
        scheme = self.home.plugins.run_id_scheme(name)()
        own: dict[str, Any] = plain_parameters(dict(parameters or {}), "parameters")
        config = _resolve(profile, overrides, derived=True)
        identity = RunIdentity(
            self.project.id,
            self.id,
            {**self._params, **own},
            replica,
            _counting(config),
        )
        return name, check_id(scheme.derive(identity), "run id"), own, config

    def _run(
        self,
        parameters: Mapping[str, Any] | None,
        id: str | None,
        replica: int | None,
        profile: str | None,
        config: dict[str, Any],
        stated: bool,
        scheme: str | None,
    ) -> RunT:
        own = _own(parameters, replica)
        given = {
            "own_parameters": own if parameters is not None else None,
            "replica": replica,
            "config": config if stated else None,
        }
        if scheme is not None:
            given = {}  # the id says it all: what was merged into equal parameters does not matter
        if id is not None:
            check_id(id, "run id")
            if (found := self._existing(id, given)) is not None:
                return found
        check_schema(self._definition, definition_key(self.path, self.revision), SCHEMA)
        launch: dict[str, Any] = {}
        if id is None and self.home.process.rank is not None:
            from molexp._record.joining import find_made

            made, launch = find_made(self, self.home.process.rank)
            if made and (found := self._existing(made, given)) is not None:
                return found
        while True:
            run_id = id or new_run_id()
            definition = {
                "schema": SCHEMA,
                "type": "run",
                "id": run_id,
                "project": self.project.id,
                "experiment": self.id,
                "experiment_revision": self._definition.get("revision", 1),
                "token": new_token(),
                "created_at": utc_now(),
                "parameters": {**self._params, **own},
                "own_parameters": own,
                "replica": replica or 0,
                "profile": profile,
                "config": config,
                "config_hash": canonical_hash(config) if config else _EMPTY_HASH,
                "id_scheme": scheme,
                "workflow": None,
                **launch,
            }
            folder = f"{self._runs_folder}/{run_id}"
            key = f"{folder}/run.json"
            self.home.journal.announce_run(key, f"{folder}/executions/1.end.json")
            try:
                self.home.store.create(key, encode_pretty(definition))
            except KeyExistsError:
                if id is not None and (found := self._existing(id, given)) is not None:
                    return found
                continue
            return Run(self, run_id, definition=definition, untried=True)

    def _existing(self, id: str, given: Mapping[str, Any]) -> RunT | None:
        path = f"{self.path}/{id}"
        from molexp._record.reading import read_definition

        try:
            stored = read_definition(self.home.store, path, {})
        except NotFoundError:
            return None
        if deleted(self.home, path):
            raise ConflictError(
                "run",
                path,
                stored="deleted",
                given="a run",
                hint="Free its bytes with ws.gc(dry_run=False), or use another id.",
            )
        opinions = {name: value for name, value in given.items() if value is not None}
        differing = {name for name, value in opinions.items() if not _agree(name, stored.get(name), value)}
        if differing:
            raise ConflictError(
                "run",
                path,
                stored={_SHOWN.get(name, name): stored.get(name) for name in sorted(differing)},
                given={_SHOWN.get(name, name): opinions[name] for name in sorted(differing)},
                hint="Use another id, or leave the id out for a new run.",
            )
        return Run(self, id, definition=stored)


def _own(parameters: Mapping[str, Any] | None, replica: int | None) -> dict[str, Any]:
    own = plain_parameters(parameters, "parameters") if parameters else {}
    if not isinstance(own, dict):
        raise TypeError(f"Parameters are a mapping of names to values, not {type(parameters).__name__}.")
    if replica is not None and (isinstance(replica, bool) or not isinstance(replica, int)):
        raise TypeError(f"A replica's index is a whole number, not {replica!r}.")
    if replica is not None and replica < 0:
        raise ValueError(f"A replica's index counts from 0; {replica} is below.")
    return own


def _agree(name: str, stored: Any, given: Any) -> bool:
    """Whether two values of a definition are the same; where a run is executed makes no other run of it."""
    if name == "config":
        stored, given = _counting(stored or {}), _counting(given)
    return canonical_equal(stored, given)


def _counting(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in RESERVED}


class Runs(Rows[Run]):
    """The runs of an experiment, by id."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        home = experiment.home
        paths = ((name, f"{experiment.path}/{name}") for name in member_ids(home, experiment.path))
        super().__init__((Run(experiment, name) for name, path in paths if _is_run(home, path)), _describe, RUN_COLUMNS)

    def __contains__(self, member: object) -> bool:
        if isinstance(member, str):
            return any(run.id == member for run in self)
        return any(run == member for run in self)

    def create_many(
        self, space: Iterable[Mapping[str, Any]] | None = None, *, replicas: int | None = None
    ) -> Rows[Run]:
        """Get or create the derived run of every point and replica, in order.

        Args:
            space: the points; the experiment's own by default.
            replicas: how many runs of each; by default one, and for the experiment's own space its own number.

        Raises:
            SerializationError: a parameter that JSON cannot carry, NaN included; nothing was created.
            TypeError: the space is no iterable of dicts; nothing was created.
        """
        own = space is None
        space = self._experiment.space if space is None else space
        times = replicas if replicas is not None else self._experiment.replicas if own else 1
        check_space(space, times)
        points = [
            plain_parameters(dict(point), f"space[{number}]")
            for number, point in enumerate([{}] if space is None else space)
        ]  # all of them before the first is created
        runs = [self._experiment.derived_run(point, replica=index) for point in points for index in range(times)]
        return Rows(runs, _describe, RUN_COLUMNS)


def _describe(run: Run) -> dict[str, Any]:
    return {"path": run.path, **run.to_dict()}


def _is_run(home: Home, path: str) -> bool:
    exists = home.store.exists(keys.document(path)) or bool(
        home.store.children(f"{keys.folder(path)}/executions").entries
    )
    return exists and not deleted(home, path)


def _resolve(profile: str | None, overrides: Mapping[str, Any] | None, *, derived: bool = False) -> dict[str, Any]:
    if profile is None and not overrides and not derived and _PROFILES not in sys.modules:
        return {}  # nobody said which profiles count
    from molexp._record.profiles import resolve_profile

    return resolve_profile(profile, overrides, look=derived)


_PROFILES = "molexp._record.profiles"
