"""Find plugins in the metadata of installed distributions, without importing any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from molexp.plugins._info import PluginInfo
from molexp.plugins._installed import Installed, installed
from molexp.plugins._requirements import core_version, unsatisfied
from molexp.plugins._selection import normalized


def discover(group: str, path: Sequence[str] | None) -> list[PluginInfo]:
    """Return all entry points of `group`, by distribution and then by name; what must not be imported is broken.

    Of several distributions with one name, the first on `path` counts, as for imports: an editable installation
    beside a regular one is seen once. Only the metadata of distributions with such entry points is parsed.
    """
    found = list(_discovered(group, installed(path)))
    return sorted(found, key=lambda one: (normalized(one.distribution), one.name, one.value))


def _discovered(group: str, everything: Sequence[Installed]) -> Iterator[PluginInfo]:
    core: str | None = None
    for position, one in enumerate(everything):
        if not (entries := one.entry_points(group)):
            continue
        name = version = problem = ""
        try:
            name, version, requires = one.metadata()
        except (OSError, ValueError) as error:
            problem = f"its metadata in {one.place!r} cannot be read: {error}"
        else:
            core = core_version(everything) if core is None else core
            problem = unsatisfied(requires, core)
        if not problem and not (name and version):
            problem = f"its metadata in {one.place!r} lacks a name or a version"
        own = normalized(name)
        hides = (other for other in everything[:position] if own and other.filed_as == own)
        if not any(other.is_sound for other in hides):
            for entry, value in entries:
                yield PluginInfo(entry, name, version, "broken" if problem else "available", problem, value, one.folder)
