"""Names in a workspace for those who complete words in a shell: from the index as it is, without reading the record.

Nothing here writes, raises because of what lies on a disk, or brings the index up to date. Names that changed a moment ago may
be missing. The module imports little, and works where the package itself was not executed.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from molexp._catalog.index.place import APPLICATION, ELEMENTS, VERSION, locations_at

__all__ = ["Glance"]

LATEST = "@latest"

_MOST = 200  # names that are offered
_LISTED = 2000  # runs of an experiment whose folder is listed: the index need not know them yet
_WAIT = 0.2  # seconds for a writer of the index


class Glance:
    """The names in a workspace.

    Args:
        workspace: a path or URL; by default the one that ``MOLEXP_WORKSPACE`` names, else the nearest around the current
            folder.

    Example:
        >>> from molexp.completion import Glance
        >>> glance = Glance("lab")
        >>> glance.paths("metals/")
        ['metals/cu/']
        >>> glance.paths("metals/cu/c")
        ['metals/cu/cu-small']
        >>> glance.projects()
        ['metals']
        >>> glance.experiments()
        ['metals/cu']
        >>> glance.assets("cu-small", kind="artifact")
        ['volumes.json']
        >>> "params.a" in glance.fields(), "artifact" in glance.kinds(), glance.tags()
        (True, True, [])
    """

    def __init__(self, workspace: str | None = None) -> None:
        self._url, self._folder = _place_of(workspace or os.environ.get("MOLEXP_WORKSPACE") or _nearest())

    def projects(self) -> list[str]:
        """Return the ids of projects."""
        return sorted({path.partition("/")[0] for path in self.experiments()} | {*self._members("projects")})

    def experiments(self, project: str | None = None) -> list[str]:
        """Return the paths of experiments, of one project or of all."""
        found = {path for (path,) in self._select("SELECT experiment FROM sizes WHERE runs > 0")}
        for one in [project] if project is not None else self._members("projects"):
            found |= {f"{one}/{name}" for name in self._members("projects", one, "experiments")}
        return sorted(path for path in found if project is None or path.startswith(f"{project}/"))

    def paths(self, text: str) -> list[str]:
        """Return how the name of a run may go on: by a project, an experiment, or a run; ``@latest`` is one.

        Without a slash, ids of runs that begin with the text are among them.
        """
        above, slash, name = text.rpartition("/")
        if not slash:
            projects = [f"{project}/" for project in self.projects()]
            ids = self._ids(text) if text else []
            return [one for one in (*projects, LATEST, *ids) if one.startswith(text)]
        if "/" not in above:
            return [f"{path}/" for path in self.experiments(above) if path.startswith(text)]
        return [*self._runs(above, name), *([f"{above}/{LATEST}"] if LATEST.startswith(name) else [])]

    def assets(self, run: str, *, kind: str | None = None) -> list[str]:
        """Return the names of assets of a run, which is named as `paths` does."""
        found = []
        for owner in self._owners(run):
            condition, bound = ("AND kind = ?", [owner, kind]) if kind is not None else ("", [owner])
            sql = f"SELECT DISTINCT name FROM assets WHERE owner = ? {condition} LIMIT {_MOST}"  # noqa: S608 - constants
            found += [name for (name,) in self._select(sql, bound) if isinstance(name, str)]
        return sorted({*found})

    def fields(self) -> list[str]:
        """Return the names of fields that some run has, such as ``params.a`` and ``results.energy``."""
        names = self._select(
            "SELECT name FROM names WHERE name NOT LIKE '@%' AND name NOT LIKE 'provenance.packages.%'"
        )
        return sorted({str(name).rstrip(ELEMENTS) for (name,) in names})

    def kinds(self) -> list[str]:
        """Return the kinds of some assets."""
        sql = "SELECT DISTINCT kind FROM (SELECT kind FROM assets LIMIT 10000)"
        return sorted(str(kind) for (kind,) in self._select(sql))

    def tags(self) -> list[str]:
        """Return the tags of runs."""
        sql = (
            "SELECT DISTINCT f.value FROM names n JOIN fields f ON f.name = n.id "
            "WHERE n.name = ? AND typeof(f.value) = 'text' LIMIT 200"
        )
        return sorted(str(tag) for (tag,) in self._select(sql, [f"tags{ELEMENTS}"]))

    # --------------------------------------------------------------------------------------------------------------- runs

    def _ids(self, text: str) -> list[str]:
        found: set[str] = set()
        for path in islice(self.experiments(), _MOST):  # by the index of paths: to look at each run takes too long
            found |= {run.rpartition("/")[2] for run in self._runs(path, text)}
        return sorted(found)

    def _runs(self, experiment: str, text: str) -> list[str]:
        path = f"{experiment}/{text}"
        sql = f"SELECT path FROM entities WHERE path >= ? AND path < ? AND shown = 1 AND run > '' LIMIT {_MOST}"  # noqa: S608 - constants
        known = {path for (path,) in self._select(sql, [path, _after(path)])}
        return sorted(known | {f"{experiment}/{run}" for run in self._few(experiment, text)})

    def _few(self, experiment: str, text: str) -> Iterator[str]:
        """Yield runs as the folder has them, if it is known to have few; those that were deleted are left out."""
        sizes = self._select("SELECT runs FROM sizes WHERE experiment = ?", [experiment])
        if sizes and sizes[0][0] > _LISTED:
            return
        project, _, name = experiment.partition("/")
        sql = "SELECT run FROM entities WHERE project = ? AND experiment = ? AND shown = 0"
        hidden = {run for (run,) in self._select(sql, [project, name])}
        for run in self._members("projects", project, "experiments", name, "runs", most=_LISTED):
            if run.startswith(text) and run not in hidden:
                yield run

    def _owners(self, run: str) -> list[int]:
        above, _, name = run.rpartition("/")
        shown = "SELECT id FROM entities WHERE shown = 1 AND run > '' AND"
        if name == LATEST:
            project, _, experiment = above.partition("/")
            where = "project = ? AND experiment = ?" if experiment else "project = ?" if project else "1"
            sql = f"{shown} {where} ORDER BY created_at DESC, path DESC LIMIT 1"
            bound: Sequence[Any] = [one for one in (project, experiment) if one]
        elif above:
            sql, bound = f"{shown} path = ? LIMIT 1", [run]
        else:
            paths = [path for one in islice(self.experiments(), _MOST) for path in self._runs(one, run)]
            sql, bound = f"{shown} path = ?", paths[:1]
        return [number for (number,) in self._select(sql, bound)] if bound or name == LATEST else []

    # ------------------------------------------------------------------------------------------------------------- storage

    def _members(self, *folders: str, most: int = _LISTED) -> list[str]:
        """Return the names of folders in a folder of the workspace, where that is on this machine."""
        if not self._folder:
            return []
        try:
            with os.scandir(os.path.join(self._folder, *folders)) as entries:
                return [one.name for one in islice(entries, most) if one.is_dir() and not one.name.startswith(".")]
        except (OSError, ValueError):
            return []

    def _select(self, sql: str, bound: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if self._index is None:
            return []
        try:
            return self._index.execute(sql, bound).fetchall()
        except (sqlite3.Error, OverflowError, UnicodeError):
            return []

    @cached_property
    def _index(self) -> sqlite3.Connection | None:
        return next(_opened(locations_at(self._url)), None) if self._url else None


def _opened(files: Iterable[str]) -> Iterator[sqlite3.Connection]:
    """Yield connections to the files that are indexes of this version."""
    for file in files:
        try:
            connection = sqlite3.connect(
                f"file:{quote_from_bytes(os.fsencode(file))}?mode=ro", uri=True, timeout=_WAIT, isolation_level=None
            )
            with closing(connection.execute("PRAGMA application_id")) as application:
                known = application.fetchone() == (APPLICATION,)
            with closing(connection.execute("PRAGMA user_version")) as version:
                known = known and version.fetchone() == (VERSION,)
        except sqlite3.Error:
            continue
        if known:
            yield connection


def _after(text: str) -> str:
    """Return a text that comes after all that begin with this one."""
    return f"{text}\U0010ffff"


def _nearest() -> str:
    try:
        folder = os.getcwd()
    except OSError:
        return ""
    while not os.path.isfile(os.path.join(folder, "workspace.json")):
        if (above := os.path.dirname(folder)) == folder:
            return ""
        folder = above
    return folder


def _place_of(workspace: str) -> tuple[str, str]:
    """Return the URL of a workspace, and its folder if it is on this machine."""
    if not workspace:
        return "", ""
    if "://" in workspace and not workspace.startswith("file://"):
        return workspace.rstrip("/"), ""
    path = os.path.expanduser(workspace)
    if workspace.startswith("file://"):
        path = os.fsdecode(unquote_to_bytes(workspace.removeprefix("file://")))
    try:
        folder = os.path.realpath(path)
    except (OSError, ValueError):
        return "", ""
    name = folder.replace(os.sep, "/")
    return f"file://{'' if name.startswith('/') else '/'}{quote_from_bytes(os.fsencode(name), safe='/:@~')}", folder
