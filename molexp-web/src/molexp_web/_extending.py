"""Panels and pages of plugins: found from metadata, imported when they are shown, and isolated from each other."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from molexp.contracts import Declared
from molexp.plugins import PluginWarning
from molexp_web.panels import GROUP, Panel, PanelHooks

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PANELS, PAGES = "molexp_web_register_panels", "molexp_web_register_pages"


class Extensions:
    """The panels and pages that plugins provide.

    Attributes:
        faults: in words, whatever is wrong with one, by its label.
    """

    def __init__(self, plugins: Mapping[str, EntryPoint]) -> None:
        self.faults: dict[str, str] = {}
        self._declared: dict[str, dict[str, list[tuple[str, str]]]] = {}
        for label, plugin in sorted(plugins.items()):
            self._add(label, plugin)

    @property
    def pages(self) -> list[str]:
        """The names of pages, in the order of the alphabet."""
        return sorted(self._declared.get(PAGES, {}))

    def of_kind(self, kind: str, asset: Any) -> list[Panel]:
        """Return what plugins show of an asset, none of which keeps the others from it."""
        return self._shown(PANELS, kind, asset)

    def page(self, name: str, *args: Any) -> list[Panel]:
        """Return what plugins show on a page."""
        return self._shown(PAGES, name, *args)

    def _add(self, label: str, plugin: EntryPoint) -> None:
        """Ask one plugin for what it declares, in a manager that nobody else's mistakes can reach."""
        import pluggy

        try:
            manager = pluggy.PluginManager("molexp_web")
            manager.add_hookspecs(PanelHooks)
            manager.register(plugin.load(), label)
            manager.check_pending()
            for hook in (PANELS, PAGES):
                names = self._declared.setdefault(hook, defaultdict(list))
                for one in (one for some in getattr(manager.hook, hook)() for one in some):
                    if not isinstance(one, Declared):
                        raise TypeError(f"{hook} returned a {type(one).__qualname__}; it returns `Declared`")
                    names[one.name].append((label, one.where))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's
            self._tell(label, error)

    def _shown(self, hook: str, name: str, *args: Any) -> list[Panel]:
        found: list[Panel] = []
        for label, where in self._declared.get(hook, {}).get(name, ()):
            try:
                panels = [*_panels(_imported(where)(*args))]
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a stranger's
                self._tell(f"{label}, {where}", error)
                panels = [Panel(title=name, note=f"The plugin {label} failed here: {type(error).__name__}: {error}")]
            found += panels
        return found

    def _tell(self, label: str, error: BaseException) -> None:
        if label not in self.faults:
            self.faults[label] = f"{type(error).__name__}: {error}"
            warnings.warn(PluginWarning(f"molexp ui: {label}: {self.faults[label]}"), stacklevel=3)


def _imported(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


def _panels(found: Any) -> Iterator[Panel]:
    for one in [] if found is None else [found] if isinstance(found, Panel) else found:
        if not isinstance(one, Panel):
            raise TypeError(f"it returned a {type(one).__qualname__}, which is no Panel")
        yield one


def extensions(request: Request) -> Extensions:
    """Return those of the plugins that are installed, found when the application is first asked for them."""
    state = request.app.state
    if not hasattr(state, "extensions"):
        from importlib.metadata import entry_points

        found = entry_points(group=GROUP)
        state.extensions = Extensions({f"{one.dist.name if one.dist else '?'} ({one.name})": one for one in found})
    known: Extensions = state.extensions
    return known
