"""Workspaces: the root of the hierarchy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from molexp._hierarchy.project import Project
from molexp._hierarchy.run import Run
from molexp._hierarchy.session import Session
from molexp._html import shown_by
from molexp._record.definitions import Members, choose_id, get_or_know, look_up
from molexp._record.document_types import is_defined
from molexp._storage import schemas
from molexp._storage.layout import WORKSPACE
from molexp._storage.opening import check_durability, open_store
from molexp._values.ids import did_you_mean, is_id, named, nearest
from molexp._values.paths import spelled
from molexp._values.patterns import late
from molexp._values.redirection import redirected
from molexp._values.times import new_token, utc_now
from molexp.contracts import RemotePath
from molexp.errors import NotFoundError, ReadOnlyError

if TYPE_CHECKING:
    from molexp._assets.data_assets import DataAssets
    from molexp._hierarchy.catalog import Catalog
    from molexp._hierarchy.run_rows import RunRow
    from molexp._record.reports import Report
    from molexp._values.tables import Rows
    from molexp.contracts._assets import Asset
    from molexp.plugins import PluginManager

ProjectT = Project
RunT = Run


def _reopen(cls: type[Workspace], session: Session) -> Workspace:
    workspace = cls.__new__(cls)
    workspace._session = session
    return workspace


_SETTINGS = ("run_id_scheme", "durability")
_SEVERAL = 100  # runs that are looked at to tell whether one is meant
_COMPARED = 1000  # runs whose names are compared with one that is not there
_LEVELS = 2  # above a run
_RANDOM, _TIME = late(r"[0-9a-f]{8}"), "________-______-______"  # of generated ids; any character is a _
_PREFIX = late(r"[A-Za-z0-9._=+,-]*")
_SCHEME = late(r"([a-zA-Z][a-zA-Z0-9+.-]+):")  # one letter is a Windows drive


class Workspace:
    """The root of the hierarchy: a folder, or a prefix of an object store. Light: nothing is read or written yet.

    It comes to be with `materialize`, or when the first project is created.

    Args:
        url: a path (``~`` is expanded; a relative one is relative to the current directory, at once) or a URL whose
            scheme an installed plugin provides; or a ``UPath``, with its ``storage_options``.
        name: A name for people; recorded when it is created.
        storage_options: options for the storage backend; what is not given is taken from ``storage.toml``, if there is
            one that says something about this URL.
        read_only: refuse every write.
        plugins: the plugin manager; by default one for the whole process.

    Raises:
        PluginMissingError: nothing that is installed provides the scheme; names the package to install.
        PluginLoadError: the plugin that provides it is broken.
        ReadOnlyError: this storage can only be read, and `read_only` is not set.
        StorageSettingsError: ``storage.toml`` says something that makes no sense.
        InvalidNameError: the name is empty, or no text.

    Example:
        >>> ws = me.Workspace.load("lab")
        >>> exp = ws.Project("metals").Experiment("cu")  # get or create
        >>> ws.project("metals").experiment("cu") == exp  # look up
        True
        >>> ws.materialize().configure(durability="always")
        >>> ws.run("cu-small").results["energy"]
        -3.7
        >>> asset = ws.asset("metals/cu/cu-small#1:artifact:volumes.json@1")
        >>> data = ws.data_assets_of("metals/cu")
        >>> differences = ws.compare("cu-small", exp.Run({"a": 4.0}))
        >>> ws.run("cu-small").delete()
        >>> run = ws.restore("metals/cu/cu-small")
        >>> (ws.gc().ok, ws.fsck().ok)
        (True, True)
    """

    def __init__(
        self,
        url: str | os.PathLike[str] | RemotePath,
        *,
        name: str | None = None,
        storage_options: Mapping[str, Any] | None = None,
        read_only: bool = False,
        plugins: PluginManager | None = None,
    ) -> None:
        if plugins is None:
            from molexp.plugins import default_manager

            plugins = default_manager()
        url, storage_options = (url, storage_options) if read_only else redirected(url, storage_options)
        text = spelled(url)
        if not isinstance(text, str) or not text:
            raise ValueError("A workspace needs a path or a URL; what was given is empty or no text.")
        match = _SCHEME.match(text)
        backend = plugins.storage_backend(match[1].lower() if match else "file")
        given = {**(getattr(url, "storage_options", None) or {}), **(storage_options or {})}
        store, options = open_store(backend, text, given)
        if read_only:
            from molexp._storage.read_only import ReadOnlyStore

            store = ReadOnlyStore(store)
        elif store.read_only_because:
            raise ReadOnlyError(url=store.url, detail=f"{store.read_only_because}. Pass read_only=True to read there")
        elif "append" not in store.capabilities:
            from molexp._storage.spool.spooled_store import SpooledStore

            store = SpooledStore(store)
        self._session: Session = Session(store, plugins, name, read_only)
        self._session.durability_given = "durability" in options
        if "durability" not in given and (wanted := os.environ.get("MOLEXP_DURABILITY")):
            store.durability = check_durability(wanted, "MOLEXP_DURABILITY")
            self._session.durability_given = True

    @classmethod
    def load(
        cls,
        url: str | os.PathLike[str] | RemotePath,
        *,
        storage_options: Mapping[str, Any] | None = None,
        read_only: bool = False,
        plugins: PluginManager | None = None,
    ) -> Self:
        """Open a workspace that exists. One whose ``workspace.json`` cannot be read is read, and not written to.

        Raises:
            NotFoundError: there is none.
        """
        workspace = cls(url, storage_options=storage_options, read_only=read_only, plugins=plugins)
        workspace._session.workspace.must_exist()
        return workspace

    _repr_html_ = shown_by("workspace")

    def __repr__(self) -> str:
        return f"<Workspace {self.url}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (type(self), self._session)

    def __eq__(self, other: object) -> bool:
        return self.url == other.url if isinstance(other, Workspace) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.url)

    # ------------------------------------------------------------------------------------------------------ what it is

    @property
    def url(self) -> str:
        """The canonical URL, without credentials."""
        return self._session.store.url

    @property
    def id(self) -> str:
        """Its id, made when it was created; copies keep it.

        Raises:
            NotFoundError: it does not exist yet.
        """
        return str(self._session.workspace.read().get("id"))

    @property
    def name(self) -> str | None:
        """Its name, if it was given one."""
        return (
            self._session.workspace.read().get("name")
            if self._session.workspace.exists()
            else self._session.workspace.given_name
        )

    @property
    def read_only(self) -> bool:
        """Tell whether every write is refused."""
        return self._session.read_only

    def materialize(self) -> Self:
        """Create it, or make sure that it exists.

        Raises:
            UnsupportedOperationError: the storage ignores exclusive creation in silence.
            StorePermissionError: it cannot be written there.
            SchemaError: it was made by a newer MolExp.
        """
        self._session.materialize()
        self._session.flushing.defined(WORKSPACE)
        return self

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its settings; see `configure`."""
        return dict(self._session.workspace.settings)

    def configure(self, **settings: Any) -> None:
        """Change settings for everybody who opens it from now on; None removes one.

        Args:
            settings: ``run_id_scheme``, the name of the scheme that derives run ids; ``durability``, when files are
                synced: ``never``, ``end`` or ``always``.

        Raises:
            TypeError: an unknown setting.
        """
        if unknown := sorted(set(settings) - set(_SETTINGS)):
            hint = did_you_mean(unknown[0], _SETTINGS)
            raise TypeError(f"There is no setting {unknown[0]!r}; there are {', '.join(_SETTINGS)}.{hint}")
        if scheme := settings.get("run_id_scheme"):
            self._session.plugins.run_id_scheme(scheme)
        if (wanted := settings.get("durability")) is not None:
            check_durability(wanted, "durability")
        self._session.change_settings(settings)

    # ------------------------------------------------------------------------------------------------------- hierarchy

    def Project(self, name: str, *, id: str | None = None) -> ProjectT:
        """Get or create a project.

        Args:
            name: free text; the id is made from it unless one is given.
            id: its id.

        Raises:
            InvalidNameError: neither name nor id can be used.
        """
        project_id = choose_id(name, id, "project")

        def make() -> dict[str, Any]:
            return {
                "schema": schemas.DEFINITION,
                "type": "project",
                "id": project_id,
                "name": name,
                "token": new_token(),
                "created_at": utc_now(),
            }

        document = get_or_know(self._session, project_id, make)
        return Project(self, project_id, document)

    def project(self, id: str) -> ProjectT:
        """Look up a project.

        Raises:
            NotFoundError: with the nearest names.
        """
        return Project(self, id, look_up(self._session.store, "", id))

    @property
    def projects(self) -> Members[ProjectT]:
        """Its projects, by id."""
        return Members(self._session.store, "", self.project)

    def run(self, path: str) -> RunT:
        """Look up a run by its path, ``metals/cu/cu-large``; by the beginning of its id; or the newest, ``@latest``.

        ``metals/cu/@latest`` is the newest of one experiment. Of an id that was generated the random end will do.

        Raises:
            NotFoundError: there is none, or several begin like that; names them.
        """
        path = named(path, "A run")
        if not path.strip("/"):
            raise NotFoundError(
                "run", path, where=self.url, hint="Give its path, such as 'metals/cu/cu-large', or '@latest'."
            )
        parts = path.strip("/").split("/")
        if parts[-1] == "@latest":
            return self._latest(parts[:-1], path)
        if len(parts) == 3:
            experiment = self.project(parts[0]).experiment(parts[1])
            folder = parts[2].lower()
            if is_id(folder) and is_defined(self._session.store, f"{experiment.path}/{folder}"):
                return experiment.run(parts[2])
        return self._by_prefix(parts, path)

    def restore(self, path: str) -> RunT:
        """Show a run again that was deleted, by its whole path, as long as `gc` has not freed it.

        Raises:
            NotFoundError: there is no such run, or it was freed.
        """
        from molexp._record.deletions import restore

        return self._at(restore(self._session, named(path, "A run")))

    def _latest(self, above: list[str], path: str) -> RunT:
        if not (found := self._newest(above, None, 1)):
            raise NotFoundError("run", path, where=self.url)
        return self._at(found[0])

    def _newest(self, above: list[str], where: str | None, limit: int = _SEVERAL) -> list[str]:
        """Return the newest runs of a scope that match a query."""
        project, experiment = (*above, None, None)[:2]
        rows = self.catalog.runs(
            where, project=project, experiment=experiment, archived=True, sort="-created_at", limit=limit
        )
        return [row.path for row in rows]

    def _named(self, above: list[str], prefix: str) -> list[str]:
        """Return the run of this id; else those whose ids begin like that, or are generated and end in it."""
        if len(above) > _LEVELS or not _PREFIX.fullmatch(prefix):
            return []
        begins = prefix.replace("_", r"\_")
        found = self._newest(above, f'id like "{begins}"') or self._newest(above, f'id like "{begins}%"')
        if not found and _RANDOM.fullmatch(prefix):
            found = self._newest(above, f'id like "{_TIME}-{prefix}"')
        return found

    def _by_prefix(self, parts: list[str], path: str) -> RunT:
        *above, prefix = parts
        found = sorted(self._named(above, prefix))
        if not found:
            close = nearest(path, [row.path for row in self.catalog.runs(limit=_COMPARED)])
            raise NotFoundError("run", path, where=self.url, nearest=close)
        if len(found) > 1:
            several = f"{len(found)}{' or more' if len(found) == _SEVERAL else ''} runs"
            hint = f"{several} begin like that, such as {', '.join(found[:5])}; give more of it."
            raise NotFoundError("run", path, where=self.url, hint=hint)
        return self._at(found[0])

    def _at(self, path: str) -> RunT:
        project, experiment, run = path.split("/")
        return self.project(project).experiment(experiment).run(run)

    # ----------------------------------------------------------------------------------------------- assets and queries

    @property
    def data_assets(self) -> DataAssets:
        """The data that belongs to it."""
        from molexp._assets.data_assets import DataAssets

        return DataAssets(self._session, "")

    def data_assets_of(self, scope: str) -> DataAssets:
        """Return the data of a scope: "" or "." is the workspace, ``metals`` a project, ``metals/cu`` an experiment.

        Raises:
            NotFoundError: there is no such project or experiment; with the nearest names.
            ValueError: it is the path of a run, which has no data of its own.
        """
        parts = [part for part in named(scope, "A scope").split("/") if part not in ("", ".")]
        if not parts:
            return self.data_assets
        if len(parts) > _LEVELS:
            raise ValueError(
                f"{scope!r} is no scope of data, which belongs to the workspace (''), a project ('metals') or an "
                "experiment ('metals/cu'). What a run makes is saved while it goes on."
            )
        project = self.project(parts[0])
        return project.experiment(parts[1]).data_assets if len(parts) > 1 else project.data_assets

    def asset(self, id: str) -> Asset:
        """Return the asset of this id by reading, without the catalog; or that of a run, by name: ``@latest:model.json``.

        Raises:
            ValueError: it is no asset id.
            NotFoundError: there is none; or it was replaced by a later version of the same name. With the nearest names.
            AmbiguousAssetError: assets of several kinds have the name.
        """
        from molexp._hierarchy.references import is_output_of, resolve_asset

        run, _, name = named(id, "An asset", "id").partition(":")
        if run and name and (":" not in name or is_output_of(id)):  # other names have none, and ids two
            return self.run(run).asset(name)
        return resolve_asset(self._session, id)

    @property
    def catalog(self) -> Catalog:
        """Answers which runs and which assets there are."""
        from molexp._hierarchy.catalog import Catalog

        # It is not kept: it refers to this, and both would wait for the garbage collector.
        return Catalog(self._session, self.run)

    def compare(self, *runs: RunT | RunRow | str) -> Rows[Mapping[str, Any]]:
        """Show in what runs differ: a row for each, in their order, with its ``path`` and the fields that are not all the same.

        Fields have the names that queries and frames have for them, such as ``params.lr``, ``results.loss``, ``status``,
        ``host``, ``provenance.git.commit``, ``provenance.packages.numpy``; what one of the runs does not have is missing in
        its row. ``1`` equals ``1.0`` and NaN equals NaN, ``1`` does not equal ``true``. Ids and times always differ, and are
        left out; of uncommitted changes, ``provenance.git.diff``, there is the SHA-256. All of it is read from the files.

        Args:
            runs: runs, rows of the catalog, or whatever `run` takes.

        Raises:
            ValueError: there are fewer than two.
            NotFoundError: one is not there.
        """
        from molexp._hierarchy.comparison import compare_runs

        found: list[Any] = [  # of this workspace or of another one, as they know themselves
            run
            if getattr(run, "_session", None)
            else self.run(run.path if hasattr(run, "path") else named(run, "A run"))
            for run in runs
        ]
        return compare_runs([(run._session, run.path) for run in found])

    # ----------------------------------------------------------------------------------------------------- maintenance

    def gc(self, *, dry_run: bool = True) -> Report:
        """Free the bytes of deleted runs, of imports that were never finished, and of old temporary files.

        Args:
            dry_run: only report what would be freed.

        Returns:
            What is, or was, to be freed, and last what could not be read, of which nothing was freed. Counts: ``found``,
            ``bytes``, ``unreadable``.
        """
        from molexp._maintenance.gc import collect

        return collect(self._session, dry_run=dry_run)

    def fsck(
        self,
        *,
        repair: bool = False,
        read_data: bool = False,
        restart: bool = False,
        progress: Callable[[int, int], Any] | None = None,
    ) -> Report:
        """Look for what cannot be read, is missing, is not what was recorded, came late, or is foreign.

        Args:
            repair: write ``run.json`` again where it is damaged, or was changed, and a claim repeats it; send what writers
                that died left on this machine.
            read_data: read all bytes and compare them with the hashes on record, and not only their number. Interrupted, it
                goes on where it was the next time; a file in your cache folder remembers.
            restart: do not go on, but begin anew.
            progress: told the bytes that were read so far, and how many there are.
        """
        from molexp._maintenance.fsck import check

        return check(self._session, repair=repair, read_data=read_data, restart=restart, progress=progress)
