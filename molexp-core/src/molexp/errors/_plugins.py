"""Errors of plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from molexp.errors._base import MolexpError, nearest_names

_BROKEN = "Repair or uninstall them, or set MOLEXP_DISABLE_PLUGINS."
_SWITCHES = (
    ("not listed in MOLEXP_PLUGINS", "Add them to MOLEXP_PLUGINS, or unset it."),
    ("disabled by MOLEXP_DISABLE_PLUGINS", "Take them out of MOLEXP_DISABLE_PLUGINS."),
)
"""A cause that begins like this is nobody's fault; beside it stands what to do."""


class PluginError(MolexpError):
    """Something about plugins.

    Example:
        >>> try:
        ...     me.Workspace("unknown://lab")
        ... except me.PluginError as error:
        ...     print(type(error).__name__)
        PluginMissingError
    """


class PluginLoadError(PluginError):
    """One or more plugins are broken; raised at once in strict mode, otherwise when what they provide is asked for.

    Attributes:
        causes: plugin (with its distribution and version) to what is wrong with it.

    Example:
        >>> try:
        ...     plugins = me.PluginManager().check()
        ... except me.PluginLoadError as error:  # an installed plugin cannot be imported
        ...     print(error.causes)
    """

    def __init__(self, causes: Mapping[str, str], *, asked: str = "") -> None:
        self.causes: dict[str, str] = dict(causes)
        self.asked = asked
        listed = "\n".join(f"  {name}: {cause}" for name, cause in self.causes.items())
        head = f"{asked} is not available; these plugins" if asked else "These plugins"
        remedies = [
            next((said for first, said in _SWITCHES if cause.startswith(first)), _BROKEN) for cause in causes.values()
        ]
        self.hint = " ".join(dict.fromkeys(remedies))
        super().__init__(f"{head} could not be loaded:\n{listed}\n{self.hint}")


class PluginMissingError(PluginError, LookupError):
    """Nothing that is installed provides what was asked for.

    Attributes:
        what: the sort of thing ("storage backend", "asset kind", ...).
        name: the name that was asked for.
        package: the distribution that provides it, if one is known.

    Example:
        >>> me.Workspace("unknown://lab")
        Traceback (most recent call last):
            ...
        molexp.errors.PluginMissingError: ...
    """

    def __init__(
        self,
        what: str,
        name: str,
        *,
        package: str = "",
        known: Iterable[str] = (),
        nearest: Iterable[str] = (),
        command: str = "",
    ) -> None:
        self.what = what
        self.name = name
        self.package = package
        self.known: tuple[str, ...] = tuple(known)
        self.nearest: tuple[str, ...] = tuple(nearest)
        do = f" Install it: {command or f'pip install {package}'}" if package else ""
        have = f" Available: {', '.join(self.known)}." if self.known and not package else ""
        self.hint = f"{nearest_names(self.nearest)}{have}{do}".strip()
        super().__init__(f"No installed plugin provides the {what} {name!r}. {self.hint}".rstrip())
