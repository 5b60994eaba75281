"""Facts about a plugin, for users, and what trying it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

PluginStatus = Literal["available", "loaded", "disabled", "broken"]
"""The status of a plugin: ``available``, ``loaded``, ``disabled`` or ``broken``; see `PluginInfo`."""


class PluginWarning(UserWarning):
    """A plugin is broken, or an environment variable names one that does not exist. Everything else goes on."""


class PluginInfo(Struct, frozen=True):
    """One plugin, as far as it is known.

    Attributes:
        name: the name of its entry point.
        distribution: the distribution that it comes with; "" if its metadata does not say.
        version: that distribution's version; "" if its metadata does not say.
        status: "available" (installed, not imported yet), "loaded", "disabled" (by the environment), or "broken"
            (something is wrong with it; what `cause` names is not used, the rest of it is).
        cause: the reason that it is disabled or broken, one sentence a line; "" otherwise.
        value: the object that the entry point refers to, as in ``package.module:attribute``.
        place: the folder of its metadata; "" if that is in no folder.
    """

    name: str
    distribution: str
    version: str
    status: PluginStatus
    cause: str
    value: str
    place: str = ""

    def __eq__(self, other: object) -> bool:
        return self._compared() == other._compared() if isinstance(other, PluginInfo) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def __str__(self) -> str:
        origin = f"{self.distribution} {self.version}".strip() or "unknown distribution"
        return f"{self.name} ({origin})"

    def _compared(self) -> tuple[str, ...]:
        return self.name, self.distribution, self.version, self.status, self.cause, self.value


class Trial(Struct, frozen=True):
    """The findings of a process of its own that imported a plugin and called its hooks.

    Attributes:
        refused: the reason that it is not imported; "" if it is.
        faults: other things that are wrong with it.
        printed: the beginning of what it printed on standard output.
        provides: hook to names to the types that are declared for them.
        seconds: the time that all of it took.
        modules: the number of modules that were imported.
        packages: the packages that most of them came from, the largest first.
        registering: the packages of others that are large and were imported before anything that it declares was asked for.

    Example:
        >>> from molexp.plugins import PluginManager
        >>> manager = PluginManager()
        >>> (storage,) = manager.find("molexp-fs")
        >>> manager.try_out(storage).refused
        ''
    """

    refused: str = ""
    faults: tuple[str, ...] = ()
    printed: str = ""
    provides: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    seconds: float = 0.0
    modules: int = 0
    packages: tuple[str, ...] = ()
    registering: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Tell whether all that it provides is known."""
        return not self.refused and not self.faults
