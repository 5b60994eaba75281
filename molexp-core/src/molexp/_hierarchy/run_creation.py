"""Making runs: what defines one, the id that follows from it, and its exclusive creation, alone or as a sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from molexp._hierarchy.session import DEFAULT_SCHEME
from molexp._record.definitions import member_ids
from molexp._record.fences import definition_keys
from molexp._record.incomplete import is_claim, take_blank
from molexp._record.prefetch import look_at
from molexp._record.reading import read_definition, read_edits
from molexp._record.revisions import plain_parameters
from molexp._storage import layout, schemas
from molexp._storage.durability import above
from molexp._storage.equivalence import RESERVED
from molexp._storage.layout import definition_key
from molexp._values.canonical import canonical_equal, canonical_hash
from molexp._values.copies import own_copy
from molexp._values.documents import check_schema, encode_pretty
from molexp._values.ids import check_id, check_run_id, new_run_id, new_token
from molexp._values.numbers import count
from molexp._values.times import utc_now
from molexp.contracts import RunIdentity
from molexp.errors import ConflictError, CorruptRecordError, KeyExistsError, NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session

_SHOWN = {"own_parameters": "parameters"}  # in the words of whoever gave them
_EMPTY_HASH = canonical_hash({})
_PROFILES = "molexp._profiles"


@attrs.frozen(slots=False)
class Parent:
    """The experiment that runs are made under.

    Attributes:
        session: The workspace.
        path: The experiment's path.
        definition: Returns the experiment's definition, which is not needed to find a run that is there.
    """

    session: Session
    path: str
    definition: Callable[[], dict[str, Any]]

    @property
    def revision(self) -> int:
        """Return the number of the definition."""
        return count(self.definition().get("revision")) or 1


@attrs.frozen(slots=False)
class Made:
    """A run that was made, or found.

    Attributes:
        id: Its id.
        definition: ``run.json`` says this of it.
        untried: This call created it: nobody else is likely to have started it.
    """

    id: str
    definition: dict[str, Any]
    untried: bool = False


def make_run(
    experiment: Parent,
    parameters: Mapping[str, Any] | None,
    *,
    id: str | None,
    replica: int | None,
    profile: str | None,
    overrides: Mapping[str, Any] | None,
) -> Made:
    """See `Experiment.Run`."""
    config = _resolve(profile, overrides)
    own = _own(parameters, replica)
    stated = profile is not None or bool(overrides)
    given = {
        "own_parameters": own if parameters is not None else None,
        "replica": replica,
        "config": config if stated else None,
        "id": id,
    }
    if id is not None:
        check_run_id(id)
        if (found := _existing(experiment, id, given)) is not None:
            return found
    _check_writable(experiment)
    launch: dict[str, Any] = {}
    if id is None and experiment.session.process.rank is not None:
        from molexp._recording.ranks import find_made

        made, launch = find_made(experiment.session, experiment.path, experiment.session.process.rank)
        if made and (found := _existing(experiment, made, given)) is not None:
            return found
    common = {"own_parameters": own, "replica": replica or 0, "profile": profile, "config": config, "id_scheme": None}
    while True:
        run_id = id or new_run_id()
        folder = layout.folder(f"{experiment.path}/{run_id.lower()}")
        journal, end = experiment.session.journal, layout.end_key(folder, 1)
        journal.announce_run(end)
        made_run = _create(experiment, run_id, {**common, **launch}, experiment.session.flushing.later)
        journal.expect(end)
        if made_run is not None:
            return made_run
        if id is not None and (found := _existing(experiment, id, given)) is not None:
            return found


class Deriving:
    """Makes runs whose ids follow from their parameters, replica and configuration, for one experiment.

    Args:
        experiment: the experiment.
        profile: name of the profile that is resolved, once for all of them.
        overrides: values over the profile's.

    Raises:
        ProfileError: there is no such profile or no profile file, the file is wrong, or an override names what is not
            there.
        PluginMissingError: the workspace's scheme is not installed.
    """

    def __init__(
        self, experiment: Parent, profile: str | None = None, overrides: Mapping[str, Any] | None = None
    ) -> None:
        self._experiment = experiment
        self._name = str(experiment.session.workspace.settings.get("run_id_scheme") or DEFAULT_SCHEME)
        self._scheme = experiment.session.plugins.run_id_scheme(self._name)()
        self._profile = profile
        self._config = _resolve(profile, overrides, derived=True)

    def id_of(self, parameters: Mapping[str, Any], replica: int) -> str:
        """Return the id of the run with these parameters of its own."""
        return self._id_of(_plain(parameters), replica)

    def _id_of(self, own: dict[str, Any], replica: int) -> str:
        experiment = self._experiment
        merged = {**(experiment.definition().get("params") or {}), **own}
        given = own_copy(merged), replica, own_copy(_counting(self._config))
        project, name = experiment.path.split("/")
        identity = RunIdentity(project, name, *given)
        return check_id(self._scheme.derive(identity), "run id")

    def run(self, parameters: Mapping[str, Any], replica: int) -> Made:
        """Get or create the run with these parameters of its own."""
        return self._run(_own(parameters, replica), replica)

    def _run(self, own: dict[str, Any], replica: int) -> Made:
        run_id = self._id_of(own, replica)
        # equal parameters are equal, whatever they were merged from
        merged = {**(self._experiment.definition().get("params") or {}), **own}
        given = {"parameters": merged, "replica": replica, "config": self._config}
        hint = f"The run-id scheme {self._name!r} derives one id for both, and must not; use another scheme."
        if (found := _existing(self._experiment, run_id, given, hint)) is not None:
            return found
        _check_writable(self._experiment)
        journal = self._experiment.session.journal
        end = layout.end_key(layout.folder(f"{self._experiment.path}/{run_id}"), 1)
        while True:
            journal.announce_run(end)
            made = self._create(run_id, own, replica, self._experiment.session.flushing.later)
            journal.expect(end)
            if made is not None:
                return made
            if (found := _existing(self._experiment, run_id, given, hint)) is not None:
                return found

    def sweep(self, points: Iterable[Mapping[str, Any]], replicas: int) -> list[Made]:
        """Get or create the run of every point and replica, in order: one look, one hint for all of them.

        Args:
            points: parameters, as plain values.
            replicas: runs of each.
        """
        experiment = self._experiment
        planned = [
            (self._id_of(own, replica), own, replica) for own in map(dict, points) for replica in range(replicas)
        ]
        there = set(member_ids(experiment.session.store, experiment.path))
        missing = {run_id: (own, replica) for run_id, own, replica in planned if run_id not in there}
        made: dict[str, Made] = {}
        written: list[str] = []
        if missing:
            _check_writable(experiment)
            experiment.session.journal.announce(*(layout.document(f"{experiment.path}/{run_id}") for run_id in missing))
        for run_id, (own, replica) in missing.items():
            if (run := self._create(run_id, own, replica, written.append)) is not None:
                made[run_id] = run
        if written:
            relied = [*above(experiment.path), layout.document(experiment.path)]
            relied.append(definition_key(experiment.path, experiment.revision))
            experiment.session.flushing.made(*written, relies_on=relied)
        return [made.get(run_id) or self._run(own, replica) for run_id, own, replica in planned]

    def _create(self, run_id: str, own: dict[str, Any], replica: int, written: Callable[[str], None]) -> Made | None:
        said = {
            "own_parameters": own,
            "replica": replica,
            "profile": self._profile,
            "config": self._config,
            "id_scheme": self._name,
        }
        return _create(self._experiment, run_id, said, written)


def _check_writable(experiment: Parent) -> None:
    if experiment.definition().get("schema") != schemas.DEFINITION:
        check_schema(experiment.definition(), definition_key(experiment.path, experiment.revision), schemas.DEFINITION)


def _create(experiment: Parent, run_id: str, said: Mapping[str, Any], written: Callable[[str], None]) -> Made | None:
    """Create a run that was announced, and tell `written` the key of its definition; None if there is one."""
    path, known = f"{experiment.path}/{run_id.lower()}", experiment.definition()
    project, name = experiment.path.split("/")
    definition = {
        "schema": schemas.DEFINITION,
        "type": "run",
        "id": run_id,
        "project": project,
        "experiment": name,
        "experiment_revision": count(known.get("revision")) or 1,
        "token": new_token(),
        "created_at": utc_now(),
        "parameters": {**(known.get("params") or {}), **said["own_parameters"]},
        "own_parameters": said["own_parameters"],
        "replica": said["replica"],
        "profile": said["profile"],
        "config": said["config"],
        "config_hash": canonical_hash(said["config"]) if said["config"] else _EMPTY_HASH,
        "id_scheme": said["id_scheme"],
        "workflow": None,
        **({"launch": said["launch"]} if "launch" in said else {}),
    }
    store, key = experiment.session.store, layout.document(path)
    try:
        store.create(key, encode_pretty(definition))
    except KeyExistsError:
        while not take_blank(store, key, encode_pretty(definition)):
            free = definition_keys(store, path)[-1]
            if free == key or store.exists(free):
                return None
            # Somebody was taken for dead: what he announced is not waited for.
            experiment.session.journal.announce(free)
            try:
                store.create(free, encode_pretty(definition))
            except KeyExistsError:
                continue
            key = free
            break
    written(key)
    return Made(run_id, definition, untried=True)


def _existing(
    experiment: Parent,
    id: str,
    given: Mapping[str, Any],
    hint: str = "Use another id, or leave the id out for a new run.",
) -> Made | None:
    """Return the run of this id, if it is there and agrees with what was given of it.

    Raises:
        ConflictError: it does not, or it was deleted.
    """
    path = f"{experiment.path}/{id.lower()}"
    try:
        there = look_at(experiment.session.store, path)
        stored = read_definition(there, path, {})
    except NotFoundError:
        return None
    except CorruptRecordError:
        if is_claim(experiment.session.store, layout.document(path)):
            return None  # it is being made, or whoever was to make it died before it was acknowledged
        raise
    if read_edits(there, path).deleted:
        raise ConflictError(
            "run",
            path,
            stored="deleted",
            given="a run",
            hint="`molexp gc --yes` (`ws.gc(dry_run=False)`) frees its bytes; or use another id.",
        )
    opinions = {name: value for name, value in given.items() if value is not None}
    differing = {name for name, value in opinions.items() if not _agree(name, stored.get(name), value)}
    if differing:
        raise ConflictError(
            "run",
            path,
            stored={_SHOWN.get(name, name): stored.get(name) for name in sorted(differing)},
            given={_SHOWN.get(name, name): opinions[name] for name in sorted(differing)},
            hint=hint,
        )
    return Made(id, stored)


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = plain_parameters(dict(parameters), "parameters")
    return found


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
    """Tell whether two values of a definition are the same; where a run is executed makes no other run of it."""
    if name == "id":  # a folder that was moved by hand is found by its name
        return bool(stored == given or str(stored).lower() != str(given).lower())
    if name == "config":
        stored, given = _counting(stored or {}), _counting(given)
    return canonical_equal(stored, given)


def _counting(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in RESERVED}


def _resolve(profile: str | None, overrides: Mapping[str, Any] | None, *, derived: bool = False) -> dict[str, Any]:
    if profile is None and not overrides and not derived and _PROFILES not in sys.modules:
        return {}  # nobody said which profiles count
    from molexp._profiles import resolve_profile

    return resolve_profile(profile, overrides, look=derived)
