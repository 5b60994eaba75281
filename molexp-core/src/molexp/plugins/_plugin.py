"""One plugin's life: found, perhaps disabled, imported, asked for each sort of thing at most once."""

from __future__ import annotations

from typing import Any, NamedTuple

import attrs

from molexp.plugins._info import PluginInfo, PluginStatus
from molexp.plugins._loading import Hook, Unusable, call_hook, isolated, load_hooks
from molexp.plugins._sorts import SORTS, Sort

EVERY_HOOK = tuple(sort.hook for sort in SORTS)


class Fault(NamedTuple):
    """Something that is wrong with a plugin.

    Attributes:
        cause: the problem.
        hides: the hooks whose contributions are unknown, or incomplete, because of it.
    """

    cause: str
    hides: tuple[str, ...]


@attrs.define
class Plugin:
    """A plugin and what has been learned about it.

    Attributes:
        found: the facts that its metadata gives.
        disabled: the setting that disables it; "" if none does.
        faults: its problems.
        hooks: its implementations by hook; ``None`` until it is imported.
        contributions: by hook that has been called, the names and classes that can be used.
    """

    found: PluginInfo
    disabled: str = ""
    faults: list[Fault] = attrs.field(factory=list)
    hooks: dict[str, list[Hook]] | None = None
    contributions: dict[str, list[tuple[str, type[Any]]]] = attrs.field(factory=dict)

    @property
    def label(self) -> str:
        """The name that messages give it."""
        return str(self.found)

    @property
    def status(self) -> PluginStatus:
        """See `PluginInfo.status`."""
        if self.disabled:
            return "disabled"
        if self.faults:
            return "broken"
        return "available" if self.hooks is None else "loaded"

    @property
    def cause(self) -> str:
        """See `PluginInfo.cause`."""
        return self.disabled or "\n".join(fault.cause for fault in self.faults)

    def info(self) -> PluginInfo:
        """Return what is known by now."""
        return attrs.evolve(self.found, status=self.status, cause=self.cause)

    def is_of(self, info: PluginInfo) -> bool:
        """Tell whether this is the plugin that was described."""
        return attrs.evolve(info, status=self.found.status, cause=self.found.cause) == self.found

    def suspected(self, sort: Sort) -> str:
        """Return why this plugin may be what would have provided something of this sort; "" if it cannot be."""
        if self.disabled:
            return self.disabled
        return "; ".join(fault.cause for fault in self.faults if sort.hook in fault.hides)

    def reject(self, cause: str) -> None:
        """Note a fault for which it is never imported."""
        self.faults.append(Fault(cause, EVERY_HOOK))

    def ask(self, sort: Sort) -> list[tuple[str, type[Any]]]:
        """Return the names and classes of this sort that it registers; a problem becomes a fault.

        What was learned is kept, so that an interrupted attempt is continued and not repeated.
        """
        if sort.hook in self.contributions or self.disabled:
            return self.contributions.get(sort.hook, [])
        if self.hooks is None and not self.faults:
            try:
                self.hooks = load_hooks(self.found.name, self.found.value)
            except Unusable as error:
                self.reject(str(error))
        if self.hooks is None:
            return []
        usable, faults = _usable(sort, self.hooks[sort.hook])
        self.faults.extend(faults)
        self.contributions[sort.hook] = usable
        return usable


def _usable(sort: Sort, implementations: list[Hook]) -> tuple[list[tuple[str, type[Any]]], list[Fault]]:
    usable: list[tuple[str, type[Any]]] = []
    faults: list[Fault] = []
    for implementation in implementations:
        try:
            returned = call_hook(sort.hook, implementation)
        except Unusable as error:
            faults.append(Fault(str(error), (sort.hook,)))
            continue
        for contribution in returned:
            try:
                with isolated(f"checking what {sort.hook} returned"):
                    usable.extend((name, contribution) for name in sort.claims(contribution))
            except Unusable as error:
                faults.append(Fault(str(error), (sort.hook,)))
    return list(dict.fromkeys(usable)), faults
