"""The definition of an experiment: created once, revised by exclusive creation, never changed in place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molexp._record.definitions import choose_id, get_or_create, look_up, require
from molexp._record.incomplete import is_torn, newest
from molexp._storage import layout, schemas
from molexp._storage.durability import above
from molexp._storage.layout import definition_key
from molexp._values.canonical import canonical_equal
from molexp._values.documents import check_schema, count, encode_pretty
from molexp._values.numbers import NUMBER, at_least_one
from molexp._values.paths import path_text
from molexp._values.patterns import late
from molexp._values.plain import plain, plain_parameters
from molexp._values.times import new_token, utc_now
from molexp.errors import ConflictError, CorruptRecordError, KeyExistsError

if TYPE_CHECKING:
    from molexp._record.session import Session
    from molexp.contracts import Store

RECORDED_SPACE = 10_000  # points of a space that are recorded, for people

_REVISION = late(rf"experiment\.({NUMBER})\.json")


def define_experiment(
    session: Session,
    project: str,
    name: str,
    check_project: Callable[[], None],
    *,
    params: Mapping[str, Any] | None,
    space: Iterable[Mapping[str, Any]] | None,
    replicas: int | None,
    workflow_source: str | os.PathLike[str] | None,
    id: str | None,
    update: bool,
) -> dict[str, Any]:
    """Return the newest definition of an experiment, after what `Project.Experiment` was given: created, found or revised."""
    experiment_id = choose_id(name, id, "experiment")
    path = f"{project}/{experiment_id}"
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(f"params are a mapping of names to values, not {type(params).__name__}.")
    given = plain_parameters(dict(params), "params") if params is not None else None
    replicas = checked_replicas(space, replicas)
    said: dict[str, Any] = {}
    if given is not None:
        said["params"] = given
    if space is not None:
        said["space"] = _recorded_space(space)
    if replicas is not None:
        said["replicas"] = replicas
    if workflow_source is not None:
        said["workflow_source"] = _source(workflow_source)

    def make() -> dict[str, Any]:
        check_project()
        return {
            "schema": schemas.DEFINITION,
            "type": "experiment",
            "id": experiment_id,
            "name": name,
            "project": project,
            "revision": 1,
            "token": new_token(),
            "created_at": utc_now(),
            "params": {},
            "space": None,
            "replicas": 1,
            "workflow_source": None,
            **said,
        }

    document, created = _first(session, path, make)
    while not created:
        document = newest_definition(session.store, path) or document
        differing = [key for key, value in said.items() if not canonical_equal(document.get(key), value)]
        if not update and "params" in differing:
            raise ConflictError(
                "experiment",
                path,
                stored=document.get("params"),
                given=given,
                hint="Use another name, make what differs a run parameter, or pass update=True for a new revision "
                "(existing runs keep what they resolved).",
            )
        if not (update and differing):
            break
        revision = count(document.get("revision")) or 1
        check_schema(document, definition_key(path, revision), schemas.DEFINITION)
        # An option that was not given has no opinion, and fields that this version does not know are kept.
        document = {**document, "revision": revision + 1, "token": new_token(), "created_at": utc_now(), **said}
        created = _claim_revision(session, path, document)
    return document


def _first(session: Session, path: str, make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """Return the first revision, and whether it was created; where it cannot be read, a later one."""
    try:
        return get_or_create(session, path, make)
    except CorruptRecordError:
        return require_definition(session.store, path), False


def _claim_revision(session: Session, path: str, document: dict[str, Any]) -> bool:
    key = definition_key(path, document["revision"])
    session.ready()
    try:
        session.store.create(key, encode_pretty(document))
    except KeyExistsError:
        if not is_torn(session.store.read(key)):
            return False
        document["revision"] += 1  # a power loss took that one before it was acknowledged
        return _claim_revision(session, path, document)
    session.flushing.defined(key, relies_on=[*above(path), layout.document(path)])
    return True


def newest_definition(store: Store, path: str) -> dict[str, Any] | None:
    """Return the newest revision of an experiment's definition; None if there is but the first.

    Raises:
        CorruptRecordError: it cannot be read, though it was acknowledged.
    """
    revisions = {
        int(match[1]): entry.key
        for entry in store.children(layout.folder(path)).entries
        if (match := _REVISION.fullmatch(entry.key.rpartition("/")[2]))
    }
    return newest(store, (key for _, key in sorted(revisions.items(), reverse=True)))


def require_definition(store: Store, path: str) -> dict[str, Any]:
    """Return the newest revision, or the first.

    Raises:
        CorruptRecordError: it cannot be read.
    """
    return newest_definition(store, path) or require(store, path)


def look_up_definition(store: Store, project: str, id: str) -> dict[str, Any] | None:
    """Return the same for an experiment of a project, by its id; None if it cannot be read.

    Raises:
        NotFoundError: with the nearest names.
    """
    first = look_up(store, project, id)
    try:
        return newest_definition(store, f"{project}/{id}") or first
    except CorruptRecordError:
        return None


def checked_replicas(space: Any, replicas: Any) -> int | None:
    """Return the number of replicas; refuse what is none, or no space, before anything is recorded of it.

    Raises:
        TypeError: `space` is no iterable of dicts, or `replicas` no number.
        ValueError: `replicas` is below 1.
    """
    if isinstance(space, str | bytes | Mapping) or (space is not None and not isinstance(space, Iterable)):
        raise TypeError(f"A space is an iterable of parameter dicts, as me.grid(a=[...]) returns, not {space!r}.")
    for point in space if isinstance(space, Sequence) else ():
        if not isinstance(point, Mapping):
            raise TypeError(f"The points of a space are dicts of parameters, not {point!r}.")
    return at_least_one(replicas, "replicas")


def _recorded_space(space: Iterable[Mapping[str, Any]]) -> Any:
    """Return what is recorded of a space, for people: its points if they can be had without using it up."""
    if not isinstance(space, Sequence):
        return {"iterable": type(space).__name__}
    points = [dict(point) for point in space[:RECORDED_SPACE]]
    return plain(points, where="space", nan=False, refer=path_text)


def _source(source: str | os.PathLike[str]) -> dict[str, str | None]:
    path, digest = os.fspath(source), None
    if os.path.isfile(path):
        from hashlib import sha256

        with open(path, "rb") as file:
            digest = sha256(file.read()).hexdigest()
    return {"file": os.path.basename(path), "sha256": digest}
