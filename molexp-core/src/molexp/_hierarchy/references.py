"""From ids and paths to what they name, by reading; no catalog is needed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from molexp._assets.data_assets import DataAssets
from molexp._assets.naming import OUTPUT
from molexp._record.attempts import read_attempts
from molexp._record.document_types import is_defined
from molexp._storage import layout
from molexp._values.ids import nearest
from molexp._values.value_path import Unfit
from molexp.contracts._assets import Asset
from molexp.errors import NotFoundError, StoreError

if TYPE_CHECKING:
    from molexp._catalog.lineage.graph import Kind
    from molexp._hierarchy.session import Session


def resolve_asset(session: Session, asset_id: str) -> Asset:
    """Return the asset of this id.

    Raises:
        ValueError: it is no asset id.
        NotFoundError: there is none; or it was replaced by a later version of the same name. With the nearest ids.
    """
    scope, attempt, kind, name, version = layout.parse_asset_id(asset_id)
    if attempt is None:
        data = DataAssets(session, scope)
        found = data.get(name, version=version)
        if found is None:
            known = (one.id for other in data for one in reversed(data.versions(other)))
            raise NotFoundError(
                "asset", asset_id, nearest=nearest(asset_id, known), hint=_missing_scope(session, scope)
            )
        asset: Asset = found
        return asset
    hint, own_id = "", layout.asset_id(scope, attempt, kind, name, version)
    ids: list[str] = []
    for facts in read_attempts(session.store, layout.folder(scope)):
        ids += [str(record.get("id")) for record in facts.contents.assets.values()]
        if facts.number != attempt:
            continue
        for record in facts.contents.assets.values():
            if record.get("id") == own_id:
                return session.library.asset(record)
            if record.get("kind") == kind and record.get("name") == name:
                hint = f"Its bytes were replaced by version {record.get('version')} of the same name."
    near = () if hint else nearest(asset_id, ids)
    raise NotFoundError("asset", asset_id, nearest=near, hint=hint or _missing_scope(session, scope))


def kind_and_name(of: Any, run: Callable[[str], Any]) -> tuple[Kind, str, NotFoundError | None]:
    """Return what `Catalog.lineage` is asked about: its kind, its id or path, and for a run that is gone the error that says so.

    Args:
        of: as `Catalog.lineage` takes it.
        run: looks a run up in the workspace.

    Raises:
        NotFoundError, AmbiguousAssetError, TypeError: as `Catalog.lineage` does.
    """
    if isinstance(of, Asset):
        return "asset", of.id, None
    if not isinstance(of, str):
        return "run", path_of(of, "An asset, its id, a run, a path or a row"), None
    if of.count(":") > 1 and not is_output_of(of):  # other names have none
        return "asset", of, None
    name, colon, asset = of.partition(":")
    if colon:
        return "asset", run(name).asset(asset).id, None
    try:
        return "run", run(name).path, None
    except NotFoundError as error:
        path = name.strip("/")  # it may be gone, and something of it left
        return "run" if layout.is_run(path) else "asset", path, error


def path_of(run: Any, wanted: str = "A run, or a row of one,") -> str:
    """Return the path of a run, or of a row of one.

    Raises:
        TypeError: it is something else.
    """
    path = getattr(run, "path", None)
    if not isinstance(path, str):
        raise TypeError(f"{wanted} belongs here, not {run!r:.80}.")
    return path


def is_output_of(text: str) -> bool:
    """Tell whether a text names what a task of a run returned, as ``@latest:output:relax``; in an id a kind stands there."""
    run, _, name = text.partition(":")
    return "#" not in run and name.startswith(OUTPUT)


def refer(session: Session, value: Any) -> dict[str, str]:
    """Return how a result that is an asset or a run is stored.

    Raises:
        Unfit: it belongs to another workspace; something of this one may have the same name.
    """
    is_asset = isinstance(value, Asset)
    if url := session.elsewhere(value):
        remedy = "import it with data_assets.import_asset, or record its path" if is_asset else "record its path"
        raise Unfit(value, f"it belongs to another workspace, {url}; {remedy}")
    return {"$asset": value.id} if isinstance(value, Asset) else {"$run": value.path}


def _missing_scope(session: Session, scope: str) -> str:
    """Return a sentence, if the scope that the id begins with is not there."""
    if not scope or is_defined(session.store, scope):
        return ""
    return f"There is no {('project', 'experiment', 'run')[scope.count('/')]} {scope!r}."


def reference_resolver(session: Session) -> Callable[[str, Any], Any]:
    """Return what turns stored references into assets, and into paths that are anchored to where the workspace lies now."""

    def resolve(tag: str, payload: Any) -> Any:
        if not isinstance(payload, str):
            return None
        if tag == "$asset":
            try:
                return resolve_asset(session, payload)
            except (NotFoundError, StoreError, ValueError):
                return None  # kept as it is: it may have been deleted since
        if tag == "$key":
            with suppress(StoreError):  # no key of ours, or a storage without paths: it is kept as it is
                return session.store.path(payload)
        return None

    return resolve
