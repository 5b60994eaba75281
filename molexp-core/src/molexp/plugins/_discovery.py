"""Find plugins in the metadata of installed distributions, without importing any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import attrs

from molexp.plugins._installed import said, search, search_sound
from molexp.plugins._requirements import core_version, unsatisfied
from molexp.plugins._selection import normalized

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint


@attrs.frozen
class Found:
    """One entry point.

    Attributes:
        name: its name.
        distribution: the distribution's name.
        version: the distribution's version.
        entry: the entry point itself.
        problem: the reason that it must not be imported; "" if it may be.
    """

    name: str
    distribution: str
    version: str
    entry: EntryPoint
    problem: str = ""


def discover(group: str, path: Sequence[str] | None) -> list[Found]:
    """Return all entry points of `group`, by distribution and then by name.

    Of several distributions with one name, the first on `path` counts, as for imports: an editable installation
    beside a regular one is seen once. Only the metadata of distributions with such entry points is parsed.
    """
    found: list[Found] = []
    core: str | None = None
    for distribution in _with_group(group, path):
        name, version, requires, problem = _describe(distribution)
        if not problem and requires:
            core = core_version(path) if core is None else core
            problem = unsatisfied(requires, core)
        found.extend(Found(entry.name, name, version, entry, problem) for entry in _entries(distribution, group))
    return sorted(found, key=lambda one: (normalized(one.distribution), one.name, one.entry.value))


def _with_group(group: str, path: Sequence[str] | None) -> Iterator[Distribution]:
    seen: set[str] = set()
    for candidate in search(path):
        if group not in _entry_text(candidate):
            continue
        name = normalized(_describe(candidate)[0])
        if not name:
            yield candidate
        elif name not in seen:
            seen.add(name)
            yield next(search_sound(path, name), candidate)  # an earlier one may shadow it, with or without plugins


def _entry_text(distribution: Distribution) -> str:
    try:
        return distribution.read_text("entry_points.txt") or ""
    except (OSError, ValueError):  # unreadable, or not UTF-8: some other package's trouble
        return ""


def _entries(distribution: Distribution, group: str) -> list[EntryPoint]:
    try:
        return [entry for entry in distribution.entry_points if entry.group == group]
    except (OSError, ValueError, AttributeError, TypeError):  # a file that is no entry-point file
        return []


def _describe(distribution: Distribution) -> tuple[str, str, tuple[str, ...], str]:
    """Name, version, requirements, and what is wrong with the metadata."""
    try:
        metadata = distribution.metadata
        name, version = said(metadata, "Name"), said(metadata, "Version")
        requires = tuple(metadata.get_all("Requires-Dist") or ())
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one package's metadata stays with that package
        return "", "", (), f"its metadata in {_place(distribution)} cannot be read: {error}"
    if not name or not version:
        return name, version, (), f"its metadata in {_place(distribution)} lacks a name or a version"
    return name, version, requires, ""


def _place(distribution: Distribution) -> str:
    return repr(str(distribution.locate_file("")))
