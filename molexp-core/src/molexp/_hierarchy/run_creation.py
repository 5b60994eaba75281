"""Making runs: what defines one, the id that follows from it, and its exclusive creation, alone or as a sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from molexp._hierarchy.session import DEFAULT_SCHEME
from molexp._record.definitions import member_ids
from molexp._record.document_types import RESERVED, definition_keys
from molexp._record.incomplete import is_claim, take_blank
from molexp._record.looking import look_at
from molexp._record.reading import read_definition, read_edits
from molexp._storage import layout, schemas
from molexp._storage.durability import above
from molexp._storage.layout import definition_key
from molexp._values.canonical import canonical_equal, canonical_hash
from molexp._values.copies import own_copy
from molexp._values.documents import encode_pretty
from molexp._values.ids import check_id, check_run_id
from molexp._values.numbers import whole
from molexp._values.plain import plain_parameters
from molexp._values.times import new_run_id, new_token, utc_now
from molexp.contracts import RunIdentity
from molexp.errors import ConflictError, CorruptRecordError, KeyExistsError, NotFoundError

if TYPE_CHECKING:
    from molexp._hierarchy.session import Session

_SHOWN = {"own_parameters": "parameters"}  # in the words of whoever gave them
_Values = Mapping[str, Any] | None
_PROFILES = "molexp._profiles"
_NOTHING_SET = canonical_hash({})  # as of nearly all configurations


class Parent(Protocol):
    """The experiment that runs are made under.

    Attributes:
        path: The experiment's path.
    """

    path: str
    _session: Session

    @property
    def revision(self) -> int:
        """Return the number of the definition."""

    def _known(self) -> dict[str, Any]:
        """Return the definition, which is not needed to find a run that is there."""

    def _check_writable(self) -> None:
        """Raise if a newer MolExp has made it."""

    @property
    def _repeated(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the definition of each run repeats of it, and its params; raise if a newer MolExp has made it."""


class Made(Struct, frozen=True):
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
    stated = profile is not None or bool(overrides)
    config = _resolve(profile, overrides) if stated or _PROFILES in sys.modules else {}  # nobody said which count
    own = plain_parameters(parameters, "parameters") if parameters else {}
    if replica is not None:
        replica = _checked_replica(replica)
    run_id = id
    launch: dict[str, Any] = {}
    if id is not None:
        check_run_id(id)
    elif (rank := experiment._session.process.rank) is not None:
        from molexp._recording.ranks import find_made

        experiment._check_writable()
        run_id, launch = find_made(experiment._session, experiment.path, rank)
    said = {"own_parameters": own, "replica": replica or 0, "profile": profile, "config": config, "id_scheme": None}
    given = {
        "own_parameters": own if parameters is not None else None,
        "replica": replica,
        "config": config if stated else None,
        "id": id,
    }
    return get_or_create(experiment, run_id, {**said, **launch}, given)


def get_or_create(
    experiment: Parent,
    id: str | None,
    said: Mapping[str, Any],
    given: Mapping[str, Any],
    hint: str = "Use another id, or leave the id out for a new run.",
) -> Made:
    """Return the run of this id, if it is there and agrees with what was given of it, or create it; without an id, a new one."""
    session = experiment._session
    while True:
        if id and (found := _existing(experiment, id, given, hint)) is not None:
            return found
        repeated = experiment._repeated
        run_id = id or new_run_id()
        end = layout.end_key(layout.folder(f"{experiment.path}/{run_id.lower()}"), 1)
        journal = session.journal
        journal.announce_run(end)
        made = _create(experiment, repeated, run_id, said, session.flushing.later)
        journal.expect(end)
        if made is not None:
            return made


class Deriving:
    """Makes runs whose ids follow from their parameters, replica and configuration, for one experiment.

    Args:
        experiment: the experiment.
        profile: name of the profile that is resolved, once for all of them.
        overrides: values over the profile's.
        config: the configuration that they resolve to, where that is known.

    Attributes:
        config: the configuration of all of them.

    Raises:
        ProfileError: there is no such profile or no profile file, the file is wrong, or an override names what is not
            there.
        PluginMissingError: the workspace's scheme is not installed.
    """

    def __init__(
        self, experiment: Parent, profile: str | None = None, overrides: _Values = None, config: _Values = None
    ) -> None:
        self._experiment = experiment
        self._name = str(experiment._session.workspace.settings.get("run_id_scheme") or DEFAULT_SCHEME)
        self._scheme = experiment._session.plugins.run_id_scheme(self._name)()
        self.config = _resolve(profile, overrides, derived=True) if config is None else config
        self._said = {"profile": profile, "config": self.config, "id_scheme": self._name}

    def id_of(self, parameters: Mapping[str, Any], replica: int) -> str:
        """Return the id of the run with these parameters of its own."""
        return self._id_of(plain_parameters(dict(parameters), "parameters"), replica)

    def _merged(self, own: dict[str, Any]) -> dict[str, Any]:
        return {**(self._experiment._known().get("params") or {}), **own}

    def _id_of(self, own: dict[str, Any], replica: int) -> str:
        given = own_copy(self._merged(own)), replica, own_copy(_counting(self.config))
        project, name = self._experiment.path.split("/")
        return check_id(self._scheme.derive(RunIdentity(project, name, *given)), "run id")

    def run(self, parameters: Mapping[str, Any], replica: int) -> Made:
        """Get or create the run with these parameters of its own."""
        replica = _checked_replica(replica)
        own = plain_parameters(parameters, "parameters") if parameters else {}
        return self._run(self._id_of(own, replica), own, replica)

    def _run(self, run_id: str, own: dict[str, Any], replica: int) -> Made:
        # equal parameters are equal, whatever they were merged from
        given = {"parameters": self._merged(own), "replica": replica, "config": self.config}
        said = {"own_parameters": own, "replica": replica, **self._said}
        hint = f"The run-id scheme {self._name!r} derives one id for both, and must not; use another scheme."
        return get_or_create(self._experiment, run_id, said, given, hint)

    def all(self, asked: Iterable[tuple[Mapping[str, Any], int]], ids: Sequence[str] | None = None) -> list[Made]:
        """Get or create the runs of all that is asked for, in order: one look, one hint and one flush for all of them.

        Args:
            asked: parameters, as plain values, and replicas.
            ids: the id that follows from each, where they were derived before.
        """
        experiment, session, path = self._experiment, self._experiment._session, self._experiment.path
        given = [(dict(own), replica) for own, replica in asked]
        planned = [(name, *one) for name, one in zip(ids or [self._id_of(*one) for one in given], given, strict=True)]
        there = set(member_ids(session.store, path))
        missing = {run_id: (own, replica) for run_id, own, replica in planned if run_id not in there}
        made, written = dict[str, Made](), list[str]()
        if missing:
            repeated = experiment._repeated
            session.journal.announce(*(layout.document(f"{path}/{run_id}") for run_id in missing))
        same = {**self._said, "config_hash": canonical_hash(self.config)}
        try:
            for run_id, (own, replica) in missing.items():
                said = {"own_parameters": own, "replica": replica, **same}
                if (run := _create(experiment, repeated, run_id, said, written.append)) is not None:
                    made[run_id] = run
        finally:  # those before one that cannot be made are there to stay
            if written:
                relied = [*above(path), layout.document(path), definition_key(path, experiment.revision)]
                session.flushing.made(*written, relies_on=relied)
        return [
            made[run_id] if run_id in made and missing[run_id] == (own, replica) else self._run(run_id, own, replica)
            for run_id, own, replica in planned
        ]


def _create(
    experiment: Parent,
    repeated: tuple[Mapping[str, Any], Mapping[str, Any]],
    run_id: str,
    said: Mapping[str, Any],
    written: Callable[[str], None],
) -> Made | None:
    """Create a run that was announced, and tell `written` the key of its definition; None if there is one."""
    path, own, config = f"{experiment.path}/{run_id.lower()}", said["own_parameters"], said["config"]
    of_experiment, params = repeated
    definition = {
        "schema": schemas.DEFINITION,
        "type": "run",
        "id": run_id,
        **of_experiment,
        "token": new_token(),
        "created_at": said.get("created_at") or utc_now(),
        "parameters": {**params, **own},
        "own_parameters": own,
        "replica": said["replica"],
        "profile": said["profile"],
        "config": config,
        "config_hash": said.get("config_hash") or (canonical_hash(config) if config else _NOTHING_SET),
        "id_scheme": said["id_scheme"],
        "workflow": None,
        **({"launch": said["launch"]} if "launch" in said else {}),
    }
    store, key = experiment._session.store, layout.document(path)
    try:
        store.create(key, encode_pretty(definition))
    except KeyExistsError:
        while not take_blank(store, key, encode_pretty(definition)):
            free = definition_keys(store, path)[-1]
            if free == key or store.exists(free):
                return None
            # Somebody was taken for dead: what he announced is not waited for.
            experiment._session.journal.announce(free)
            try:
                store.create(free, encode_pretty(definition))
            except KeyExistsError:
                continue
            key = free
            break
    written(key)
    return Made(run_id, definition, untried=True)


def _existing(experiment: Parent, id: str, given: Mapping[str, Any], hint: str) -> Made | None:
    """Return the run of this id, if it is there and agrees with what was given of it.

    Raises:
        ConflictError: it does not, or it was deleted.
    """
    path = f"{experiment.path}/{id.lower()}"
    there = look_at(experiment._session.store, path)
    listing = there.children(layout.folder(path))
    if not (listing.entries or listing.folders):  # as of most that are about to be made; that costs less than to read
        return None
    try:
        stored = read_definition(there, path, {})
    except NotFoundError:
        return None
    except CorruptRecordError:
        if is_claim(experiment._session.store, layout.document(path)):
            return None  # it is being made, or whoever was to make it died before it was acknowledged
        stored = read_definition(experiment._session.store, path, {})  # it may have been filled since
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


def _checked_replica(replica: int) -> int:
    index = whole(replica)
    if index is None:
        raise TypeError(f"A replica's index is a whole number, not {replica!r}.")
    if index < 0:
        raise ValueError(f"A replica's index counts from 0; {replica} is below.")
    return index


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
    from molexp._profiles import resolve_profile

    return resolve_profile(profile, overrides, look=derived)
