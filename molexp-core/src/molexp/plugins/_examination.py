"""Everything that can be found out about an installed plugin, for its author: ``molexp plugins check``, and the kit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct

from molexp.plugins._info import PluginInfo, Trial
from molexp.plugins._requirements import CORE, core_version, unsatisfied
from molexp.plugins._sorts import ASSET_KINDS, SORTS

Check = Literal["metadata", "requirement", "types", "loading", "output", "imports", "names", "spelling"]
"""A thing to look at: ``metadata``, ``requirement``, ``types``, ``loading``, ``output``, ``imports``, ``names``, ``spelling``."""


class Examination(Struct, frozen=True):
    """The findings about an installed plugin.

    Attributes:
        plugin: the plugin, with its status beside all others that are installed.
        trial: the findings of a process of its own that imported it.
        findings: the faults, for people, by what was looked at; none where all is well.
        provides: sorts of things to the names that it registers.
        kits: the sorts of things that it provides, with the class of `molexp.testing` that tests one; "" where there is none.

    Example:
        >>> from molexp.plugins import PluginManager
        >>> manager = PluginManager()
        >>> (storage,) = manager.find("molexp-fs")
        >>> examined = manager.examine(storage)
        >>> examined.findings["types"], examined.kits
        ((), {'storage backend': 'StoreTests'})
    """

    plugin: PluginInfo
    trial: Trial
    findings: Mapping[Check, tuple[str, ...]]
    provides: Mapping[str, tuple[str, ...]]
    kits: Mapping[str, str]

    @property
    def doubts(self) -> list[str]:
        """The faults that keep nobody from using it."""
        return [one for check, found in self.findings.items() if check not in ("loading", "names") for one in found]


def examined(plugin: PluginInfo, trial: Trial, misspelt: Mapping[str, tuple[str, ...]]) -> Examination:
    """Return what was found about a plugin, of which is known how it gets on with others.

    Args:
        plugin: the plugin, after all were loaded.
        trial: of this plugin.
        misspelt: the doubts about all asset kinds.
    """
    kinds = trial.provides.get(ASSET_KINDS.hook, ())
    causes = plugin.cause.splitlines() if plugin.status == "broken" else []
    requirement = tuple(_requirement(plugin))
    findings: dict[Check, tuple[str, ...]] = {
        "metadata": tuple(_metadata(plugin)),
        "requirement": requirement,
        "types": tuple(_types(plugin)),
        "loading": tuple(filter(None, (trial.refused, *trial.faults, "" if trial.provides else "it provides nothing"))),
        "output": (f"it prints when it is imported: {trial.printed.splitlines()[0]!r}",) if trial.printed else (),
        "imports": tuple(
            f"registering imports {one}; return a `Declared`, or import it where it is used"
            for one in trial.registering
        ),
        "names": tuple(cause for cause in causes if cause not in (*trial.faults, *requirement)),
        "spelling": tuple(f"the asset kind {kind!r}: {doubt}" for kind in kinds for doubt in misspelt.get(kind, ())),
    }
    sorts = [sort for sort in SORTS if sort.hook in trial.provides]
    provides = {sort.what: tuple(sorted(trial.provides[sort.hook])) for sort in sorts}
    return Examination(plugin, trial, findings, provides, {sort.what: sort.kit for sort in sorts})


def _fields(plugin: PluginInfo) -> Mapping[str, list[str]]:
    """Return the fields of its metadata, in lower case."""
    from email.parser import Parser

    found: dict[str, list[str]] = {}
    for name in ("METADATA", "PKG-INFO"):
        file = Path(plugin.place, name)
        if plugin.place and file.is_file():
            for field, value in Parser().parsestr(file.read_text(encoding="utf-8"), headersonly=True).items():
                found.setdefault(field.lower(), []).append(value)
    return found


def _metadata(plugin: PluginInfo) -> Iterator[str]:
    fields = _fields(plugin)
    for field, about in (("summary", "what it is"), ("requires-python", "which versions of Python it works with")):
        if not any(fields.get(field, ())):
            yield f"its metadata does not say {about} ({field.title()})"


def _requirement(plugin: PluginInfo) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    if canonicalize_name(plugin.distribution) == CORE:
        return
    requires, bounds = _fields(plugin).get("requires-dist", []), set()
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue  # whoever installs it is told
        if canonicalize_name(requirement.name) in (CORE, "molexp") and requirement.marker is None:
            bounds |= {one.operator for one in requirement.specifier}
    if not bounds & {"<", "<=", "==", "~="}:
        yield "it does not say up to which version of molexp-core it works; require, for example, 'molexp-core>=0.1,<0.2'"
    if problem := unsatisfied(requires, core_version(())):
        yield problem


def _types(plugin: PluginInfo) -> Iterator[str]:
    from importlib.util import find_spec

    package = plugin.value.partition(":")[0].strip().partition(".")[0]
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        spec = None
    places = [*(spec.submodule_search_locations or ())] if spec is not None else []
    if not any(Path(place, "py.typed").is_file() for place in places):
        yield f"{package!r} has no file py.typed, so type checkers do not see its types"
