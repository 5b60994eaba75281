"""Facts about a plugin, for users."""

from __future__ import annotations

from typing import Literal

import attrs

PluginStatus = Literal["available", "loaded", "disabled", "broken"]
"""The status of a plugin: ``available``, ``loaded``, ``disabled`` or ``broken``; see `PluginInfo`."""


class PluginWarning(UserWarning):
    """A plugin is broken, or an environment variable names one that does not exist. Everything else goes on."""


@attrs.frozen
class PluginInfo:
    """One plugin, as far as it is known.

    Attributes:
        name: the name of its entry point.
        distribution: the distribution that it comes with; "" if its metadata does not say.
        version: that distribution's version; "" if its metadata does not say.
        status: "available" (installed, not imported yet), "loaded", "disabled" (by the environment), or "broken"
            (something is wrong with it; what `cause` names is not used, the rest of it is).
        cause: the reason that it is disabled or broken, one sentence a line; "" otherwise.
        value: the object that the entry point refers to, as in ``package.module:attribute``.
    """

    name: str
    distribution: str
    version: str
    status: PluginStatus
    cause: str
    value: str

    def __str__(self) -> str:
        origin = f"{self.distribution} {self.version}".strip() or "unknown distribution"
        return f"{self.name} ({origin})"
