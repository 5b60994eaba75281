"""The plugin manager."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from molexp._values.ids import nearest
from molexp.errors import NotFoundError, PluginError, PluginLoadError, PluginMissingError
from molexp.hookspecs import GROUP
from molexp.plugins._contests import Registry, reject_namesakes, settle
from molexp.plugins._discovery import discover
from molexp.plugins._environment import install_command
from molexp.plugins._info import PluginInfo, PluginWarning, Trial
from molexp.plugins._plugin import Plugin
from molexp.plugins._selection import Selection, normalized
from molexp.plugins._sorts import (
    ANY,
    ASSET_KINDS,
    COLUMNS,
    COMMANDS,
    EXECUTORS,
    OURS,
    PLAIN,
    QUEUES,
    RENDERERS,
    RUN_ID_SCHEMES,
    SORTS,
    STORAGE_BACKENDS,
    Sort,
    misspelt,
)

if TYPE_CHECKING:
    from molexp.contracts import AssetKind, Executor, Queue, RunIdScheme, Store
    from molexp.plugins._examination import Examination


_AT_ONCE = 4  # processes in which new plugins are tried
_REMEDY = " (to leave it out: MOLEXP_DISABLE_PLUGINS={})"


class PluginManager:
    """Finds, loads and isolates plugins.

    Nothing is done until something is asked for: `plugins` reads metadata and imports nothing; the four mappings
    import plugins one after another, in the order of distribution and plugin name, and call one hook of each, once.
    Whatever is wrong with a plugin disables what it concerns, is kept for `plugins`, and is told in one
    `PluginWarning`; everything else goes on. A manager may be used by several threads. What is installed after its
    first use is seen by a new manager only.

    Args:
        path: the folders to search for distributions; by default ``sys.path``.
        environ: the environment, whose ``MOLEXP_*PLUGINS`` variables are read now; by default ``os.environ``.
        extra: modules with hooks, or objects, that are plugins beside those that are installed; for tests of a plugin that is
            not.

    Example:
        >>> manager = me.PluginManager()
        >>> "molexp-fs" in [plugin.distribution for plugin in manager.plugins()]
        True
    """

    def __init__(
        self,
        *,
        path: Sequence[str] | None = None,
        environ: Mapping[str, str] | None = None,
        extra: Iterable[object] = (),
    ) -> None:
        self._extra = tuple(extra)
        self._path = None if path is None else tuple(path)
        self._selection = Selection.of(os.environ if environ is None else environ)
        self._lock = threading.RLock()
        self._asking: Plugin | None = None
        self._plugins: tuple[Plugin, ...] | None = None
        self._unknown: dict[str, str] = {}
        self._registries: dict[str, Registry] = {}
        self._by_name: dict[tuple[str, str], Registry] = {}
        self._review_due = True
        self._told: set[tuple[str, str]] = set()

    # ------------------------------------------------------------------------------------------------------- reports

    def plugins(self) -> tuple[PluginInfo, ...]:
        """Return every plugin that is installed, with what is known about it by now. Nothing is imported."""
        with self._lock:
            return tuple(plugin.info() for plugin in self._discovered())

    def check(self) -> tuple[PluginInfo, ...]:
        """Import every plugin, call every hook, and report. Raises nothing, in strict mode either."""
        for sort in SORTS:
            self._registry(sort)
        with self._lock:
            for plugin in self._discovered():
                plugin.make_things()
        return self.plugins()

    def find(self, name: str) -> tuple[PluginInfo, ...]:
        """Return the plugins of this name, or of the distribution of this name; case and separators do not matter.

        Nothing is imported.

        Raises:
            NotFoundError: none is installed; with the nearest names.
        """
        wanted = normalized(name)
        known = self.plugins()
        found = tuple(one for one in known if wanted in (normalized(one.name), normalized(one.distribution)))
        if not found:
            names = {one for info in known for one in (info.name, info.distribution) if one}
            raise NotFoundError("plugin", name, nearest=nearest(name, sorted(names)))
        return found

    def provides(self, plugin: PluginInfo) -> Mapping[str, tuple[str, ...]]:
        """Return what a plugin registers and can be used: sort of thing to names. Imports every plugin, as `check` does."""
        self.check()
        with self._lock:
            same = [one for one in self._discovered() if one.is_of(plugin)]
            found: dict[str, tuple[str, ...]] = {}
            for sort in SORTS:
                classes = self._registry(sort).classes
                claimed = [name for one in same for name, _ in one.contributions.get(sort.hook, ()) if name in classes]
                if claimed:
                    found[sort.what] = tuple(sorted(claimed))
        return found

    def declares(self, plugin: PluginInfo) -> Mapping[str, tuple[str, ...]] | None:
        """Return what a plugin registers, as far as that is known without importing any: sort of thing to names.

        None if it is not known: nobody has used the plugin here, or it has changed since.
        """
        with self._lock:
            return next((one.declares() for one in self._discovered() if one.is_of(plugin)), None)

    def doubts(self) -> Mapping[str, tuple[str, ...]]:
        """Return what looks like a mistake of asset kinds, by their names; nothing is refused for it. Imports every plugin.

        An example is a method `accept`, where the contract has `accepts`.
        """
        kinds = self._registry(ASSET_KINDS).classes
        return {name: found for name, cls in kinds.items() if (found := tuple(misspelt(cls)))}

    def tried(self, plugin: PluginInfo) -> Trial | None:
        """Return what is remembered of trying a plugin; None if it was not tried, or has changed since."""
        from molexp.plugins._answers import recall

        return recall(plugin)

    def try_out(self, plugin: PluginInfo, *, seconds: float = 30.0) -> Trial:
        """Import a plugin, call its hooks and make its kinds in a process of its own, and remember what that found.

        Args:
            plugin: the plugin.
            seconds: the time that it may take.

        Raises:
            PluginError: no other process could be started.
        """
        from molexp.plugins._trial import try_out

        found = try_out(plugin, seconds)
        if found is None:
            raise PluginError(f"The plugin {plugin} was not tried: no other process of Python could be started.")
        with self._lock:
            for one in self._discovered():
                if one.guarded and one.is_of(plugin):
                    one.tried = found  # also if it had less time than others give it
        return found

    def examine(self, plugin: PluginInfo, *, seconds: float = 30.0, trial: Trial | None = None) -> Examination:
        """Return all that can be found out about a plugin: by its metadata, in a process of its own, and beside the others.

        Imports every plugin, as `check` does.

        Args:
            plugin: the plugin.
            seconds: the time that importing it may take.
            trial: the findings of a process of its own, if it was tried just now.

        Raises:
            PluginError: no other process could be started.
        """
        from molexp.plugins._examination import examined

        found = trial or self.try_out(plugin, seconds=seconds)
        self.check()
        with self._lock:
            known = next((one.info() for one in self._discovered() if one.is_of(plugin)), plugin)
        return examined(known, found, self.doubts())

    def unknown_names(self) -> Mapping[str, str]:
        """Return what the environment names and is not installed: ``VARIABLE=name`` to an explanation."""
        with self._lock:
            self._discovered()
            return MappingProxyType(self._unknown)

    # ------------------------------------------------------------------------------------------------ what there is

    def storage_backends(self) -> Mapping[str, type[Store]]:
        """Storage backends by URL scheme.

        Raises:
            PluginLoadError: in strict mode, if anything is wrong with any plugin.
        """
        return self._all(STORAGE_BACKENDS)

    def asset_kinds(self) -> Mapping[str, type[AssetKind[Any, Any]]]:
        """Return asset kinds by name. Raises as `storage_backends` does."""
        return self._all(ASSET_KINDS)

    def run_id_schemes(self) -> Mapping[str, type[RunIdScheme]]:
        """Return run-id schemes by name. Raises as `storage_backends` does."""
        return self._all(RUN_ID_SCHEMES)

    def executors(self) -> Mapping[str, type[Executor]]:
        """Return executors by name. Raises as `storage_backends` does."""
        return self._all(EXECUTORS)

    def queues(self) -> Mapping[str, type[Queue]]:
        """Return queues by name. Raises as `storage_backends` does."""
        return self._all(QUEUES)

    def storage_backend(self, scheme: str) -> type[Store]:
        """Return the storage backend for URLs with this scheme; if no plugin claims it, one that takes unclaimed schemes.

        Raises:
            PluginLoadError: two plugins claim it, or a broken or disabled plugin may be what provides it; each is
                named with its distribution, version and cause.
            PluginMissingError: nothing that is installed provides it; names the package to install where one is known.
        """
        if (found := self._named(STORAGE_BACKENDS, scheme)) is not None:
            return found
        claimed = self._all(STORAGE_BACKENDS)
        last: type[Store] | None = claimed.get(ANY)
        elsewhere = (claimed, STORAGE_BACKENDS.packages, self._registry(STORAGE_BACKENDS).contested)
        if last is not None and not any(scheme in one for one in elsewhere) and last.takes(scheme):
            return last
        return self._one(STORAGE_BACKENDS, scheme)

    def asset_kind(self, name: str) -> type[AssetKind[Any, Any]]:
        """Return the asset kind of this name. Raises as `storage_backend` does."""
        return self._one(ASSET_KINDS, name)

    def run_id_scheme(self, name: str) -> type[RunIdScheme]:
        """Return the run-id scheme of this name. Raises as `storage_backend` does."""
        return self._one(RUN_ID_SCHEMES, name)

    def executor(self, name: str) -> type[Executor]:
        """Return the executor of this name. Raises as `storage_backend` does."""
        return self._one(EXECUTORS, name)

    def queue(self, name: str) -> type[Queue]:
        """Return the queue of this name. Raises as `storage_backend` does."""
        return self._one(QUEUES, name)

    def command(self, name: str) -> Callable[..., Any]:
        """Return the function behind a command of ``molexp`` that a plugin adds. Raises as `storage_backend` does."""
        return self._one(COMMANDS, name)

    def column(self, name: str) -> Callable[[Any], object]:
        """Return the function behind a column that a plugin adds to tables, as in ``runs.gap``. Raises as `storage_backend` does."""
        return self._one(COLUMNS, name)

    def renderer(self, kind: str) -> Callable[[Any], str]:
        """Return the function that shows assets of a kind as text. Raises as `storage_backend` does."""
        return self._one(RENDERERS, kind)

    def kinds_of_types(self, types: Collection[str]) -> list[str]:
        """Return the names of the asset kinds that name one of these types, by module and name. No kind is imported for it.

        Types of Python itself are saved by MolExp's own kinds: nobody else is asked for them.
        """
        plain = any(one.partition(".")[0] in PLAIN for one in types)
        with self._lock:
            plugins = [one for one in self._discovered() if not plain or normalized(one.found.distribution) in OURS]
            _try_out([plugin for plugin in plugins if plugin.untried])
            kinds = [kind for plugin in plugins for kind in plugin.types_of_kinds().items()]
        return list(dict.fromkeys(name for name, named in kinds if any(one in named for one in types)))

    def distribution_of(self, kind: type[AssetKind[Any, Any]]) -> str:
        """Return name and version of the distribution that registered an asset kind, for the record; "" if none did."""
        known = self._by_name.get((ASSET_KINDS.hook, kind.name)) or self._registry(ASSET_KINDS)
        return known.owners.get(kind.name, "")

    # ------------------------------------------------------------------------------------------------------ discovery

    def _discovered(self) -> tuple[Plugin, ...]:
        """Return all plugins; called with the lock held."""
        if self._plugins is None:
            found = discover(GROUP, self._path)
            plugins = (*map(self._plugin, found), *map(_handed_over, self._extra))
            reject_namesakes(plugins)
            installed = [name for one in found for name in (one.name, one.distribution)]
            self._unknown = dict(self._selection.unknown(installed))
            self._plugins = plugins
        return self._plugins

    def _plugin(self, found: PluginInfo) -> Plugin:
        guarded = self._path is None and normalized(found.distribution) not in OURS
        return Plugin(found, self._selection.excludes(found.name, found.distribution), guarded=guarded)

    # -------------------------------------------------------------------------------------------------------- loading

    def _registry(self, sort: Sort) -> Registry:
        known = self._registries.get(sort.hook)
        if known is None:
            with self._lock:
                known = self._registries.get(sort.hook)
                if known is None:
                    known = self._registries[sort.hook] = self._collect(sort)
                    self._review_due = True
        return known

    def _collect(self, sort: Sort, name: str = "") -> Registry:
        """Ask each plugin, or each that may provide this name; called with the lock held."""
        if self._asking is not None:
            raise PluginError(
                f"The plugin {self._asking.label} asked for a {sort.what} while it was being loaded. "
                "Plugins register when they are loaded; they use what others registered later."
            )
        claims: dict[str, list[tuple[Plugin, type[Any]]]] = {}
        if name not in sort.packages:
            _try_out([plugin for plugin in self._discovered() if plugin.untried])
        for plugin in self._discovered():
            self._asking = plugin
            try:
                contributions = plugin.ask(sort, name) if plugin.may_provide(sort, name) else []
            finally:
                self._asking = None
            for claimed, cls in contributions:
                claims.setdefault(claimed, []).append((plugin, cls))
        return settle(sort, claims)

    def _all(self, sort: Sort) -> Mapping[str, type[Any]]:
        registry = self._registry(sort)
        self._review()
        return registry.classes

    def _review(self) -> None:
        if self._review_due:
            self._review_due = False
            try:
                self._insist() if self._selection.strict else self._tell()
            except Exception:
                self._review_due = True  # in strict mode it is an error every time
                raise

    def _insist(self) -> None:
        broken = {str(info): info.cause for info in self.check() if info.status == "broken"}
        broken.update(self.unknown_names())
        if broken:
            raise PluginLoadError(broken)

    def _tell(self) -> None:
        """Warn of each fault once. Without the lock: a filter may turn the warning into an error."""
        broken = [info for info in self.plugins() if info.status == "broken"]
        faults = [(str(info), info.cause.splitlines(), _REMEDY.format(info.name)) for info in broken]
        faults += [(subject, [cause], "") for subject, cause in self.unknown_names().items()]
        faults += [(one.label, [*one.doubts()], "") for one in self._discovered()]
        for subject, causes, remedy in faults:
            news = [cause for cause in causes if (subject, cause) not in self._told]
            self._told.update((subject, cause) for cause in news)
            if news:
                warnings.warn(PluginWarning(f"{subject}: {'; '.join(news)}{remedy}"), stacklevel=4)

    # -------------------------------------------------------------------------------------------------------- look-up

    def _one(self, sort: Sort, name: str) -> type[Any]:
        found = self._named(sort, name) or self._all(sort).get(name)
        if found is None:
            raise self._unavailable(sort, name)
        return found

    def _named(self, sort: Sort, name: str) -> type[Any] | None:
        """Return what has this name, asking only the plugins that may provide it."""
        key = (sort.hook, name)
        if self._selection.strict or sort.hook in self._registries:
            return None
        if key not in self._by_name:
            with self._lock:
                if key not in self._by_name:
                    self._by_name[key] = self._collect(sort, name)
                    self._review_due = True
        self._review()
        return self._by_name[key].classes.get(name)

    def _unavailable(self, sort: Sort, name: str) -> PluginError:
        asked = f"The {sort.what} {name!r}"
        registry = self._registry(sort)
        if contested := registry.contested.get(name):
            return PluginLoadError(contested, asked=asked)
        known = [one for one in registry.classes if one != ANY]
        near = nearest(name, known)
        package = sort.packages.get(name, "")
        with self._lock:
            suspects = [(plugin, cause) for plugin in self._discovered() if (cause := plugin.suspected(sort))]
        causes = {plugin.label: cause for plugin, cause in suspects}
        if not package and causes:
            meant = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
            return PluginLoadError(causes, asked=asked + meant)
        if ours := {one.label: cause for one, cause in suspects if normalized(one.found.distribution) == package}:
            return PluginLoadError(ours, asked=asked)
        from shlex import join

        command = join(install_command(package)) if package else ""
        missing = PluginMissingError(sort.what, name, package=package, known=known, nearest=near, command=command)
        if causes:
            listed = "".join(f"\n  {who}: {cause}" for who, cause in causes.items())
            missing.args = (f"{missing} These plugins, which may have provided it, are not in use:{listed}",)
        return missing


def _handed_over(plugin: object) -> Plugin:
    name = str(getattr(plugin, "__name__", None) or type(plugin).__name__)
    return Plugin(PluginInfo(name, name, "", "available", "", name), given=plugin)


def _try_out(plugins: Sequence[Plugin]) -> None:
    """Try new plugins, some at the same time."""
    if plugins:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(Plugin.try_out, plugins):
                pass


@functools.cache
def default_manager() -> PluginManager:
    """Return the manager that a workspace uses when it is given none: one per process, made at first use.

    A convenience. Code that wants other plugins, tests above all, makes its own and passes it on.
    """
    return PluginManager()
