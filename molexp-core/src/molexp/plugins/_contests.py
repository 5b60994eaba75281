"""Names that several plugins claim: nobody has them, unless one is MolExp's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from molexp.plugins._plugin import Fault, Plugin
from molexp.plugins._selection import normalized
from molexp.plugins._sorts import OURS, Sort


class Registry(Struct, frozen=True):
    """Everything of one sort: the names that can be used, who claims those that cannot, and where the former are from."""

    classes: Mapping[str, type[Any]]
    contested: Mapping[str, Mapping[str, str]]
    owners: Mapping[str, str]


def reject_namesakes(plugins: Sequence[Plugin]) -> None:
    """Mark the plugins that must not be imported: unsuitable, or with a name that another one has too."""
    enabled: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        if not plugin.disabled:
            enabled.setdefault(plugin.found.name, []).append(plugin)
            if plugin.found.cause:
                plugin.reject(plugin.found.cause)
    for name, namesakes in enabled.items():
        if len(namesakes) > 1:
            ours = [plugin for plugin in namesakes if normalized(plugin.found.distribution) in OURS]
            if len(ours) == 1:
                for plugin in namesakes:
                    if plugin is not ours[0]:
                        plugin.reject(
                            f"the plugin name {name!r} is that of {ours[0].found.distribution}; it was not loaded"
                        )
                continue
            who = " and ".join(f"{plugin.found.distribution} {plugin.found.version}" for plugin in namesakes)
            for plugin in namesakes:
                plugin.reject(f"the plugin name {name!r} is used by {who}; none of them was loaded")


def settle(sort: Sort, claims: Mapping[str, list[tuple[Plugin, type[Any]]]]) -> Registry:
    """Register the names that are claimed once; one that is claimed twice belongs to nobody."""
    classes: dict[str, type[Any]] = {}
    contested: dict[str, dict[str, str]] = {}
    owners: dict[str, str] = {}
    for name, claimants in claims.items():
        (plugin, cls), *others = claimants
        if not others:
            classes[name] = cls
            owners[name] = f"{plugin.found.distribution} {plugin.found.version}".strip()
            continue
        who = " and ".join(f"{one.label} as {its.__module__}.{its.__qualname__}" for one, its in claimants)
        cause = f"the {sort.what} {name!r} is registered by {who}; neither is used"
        contested[name] = {one.label: cause for one, _ in claimants}
        for one in {id(one): one for one, _ in claimants}.values():
            one.faults.append(Fault(cause, hides=()))
    return Registry(MappingProxyType(classes), MappingProxyType(contested), MappingProxyType(owners))
