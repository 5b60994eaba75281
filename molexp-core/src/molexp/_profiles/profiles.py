"""Profiles: named configurations that share defaults and extend each other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from copy import deepcopy
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from molexp._profiles.files import Source, read_source
from molexp._profiles.overrides import override
from molexp._values.ids import nearest
from molexp.errors import ProfileError

if TYPE_CHECKING:
    from molexp._profiles.explaining import ExplainedValue

_KEYS = ("defaults", "profiles")


class Profiles(Struct, frozen=True):
    """The profiles of a file. A profile that cannot be resolved hinders only the runs that use it.

    Attributes:
        file: the file.
        defaults: the values that every profile starts from.
        profiles: each profile's own values by its name, without what it extends.
        order: for each profile the names whose values make it up, itself last.
        problems: the reason for each profile that cannot be resolved.
        text: the text of the file.
    """

    file: str
    defaults: Mapping[str, Any]
    profiles: Mapping[str, Mapping[str, Any]]
    order: Mapping[str, tuple[str, ...]]
    problems: Mapping[str, ProfileError]
    text: str = ""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Profiles:
        """Read a profile file: YAML, TOML or JSON, as its suffix tells.

        Raises:
            ProfileError: it cannot be read, or is no profile file; it names the line where the format tells.
        """
        source = read_source(Path(path))
        top = _mapping(source, source.data)
        for key in top:
            if key not in _KEYS:
                raise source.error(
                    f"the key {key!r} is unknown here",
                    key,
                    nearest=nearest(key, _KEYS),
                    hint="Profiles stand under 'profiles', values for all of them under 'defaults'.",
                )
        defaults = _mapping(source, top.get("defaults"), "defaults")
        if "extends" in defaults:
            raise source.error("the defaults extend nothing", "defaults", "extends", hint="Only a profile does.")
        given = _mapping(source, top.get("profiles"), "profiles")
        profiles: dict[str, dict[str, Any]] = {}
        order: dict[str, tuple[str, ...]] = {}
        problems: dict[str, ProfileError] = {}
        for name, values in given.items():
            try:
                profiles[name] = _mapping(source, values, "profiles", name)
            except ProfileError as error:
                profiles[name], problems[name] = {}, error
        for name in profiles:
            try:
                order[name] = _order(source, profiles, problems, name)
            except ProfileError as error:
                problems[name] = error
        own = {name: {k: v for k, v in values.items() if k != "extends"} for name, values in profiles.items()}
        return cls(source.file, defaults, own, order, problems, source.text)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its profiles, as they follow each other in the file."""
        return tuple(self.profiles)

    def resolve(self, profile: str | None = None, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the configuration of a profile: defaults, what it extends from left to right, its own, overrides.

        A profile wins over what it extends. One that is extended on several ways counts once, where it comes first.

        Args:
            profile: its name; None for the defaults alone.
            overrides: values by dotted name; a name that is not there has to begin with ``+``.

        Raises:
            ProfileError: there is no such profile, it cannot be resolved, or an override names what is not there; with the nearest names.
            SerializationError: JSON cannot carry an override's value.
        """
        if profile is not None and profile not in self.profiles:
            close = nearest(profile, self.names)
            known = f"It has {', '.join(map(repr, self.names))}." if self.names and not close else ""
            raise ProfileError(self.file, f"there is no profile {profile!r}", nearest=close, hint=known)
        if profile is not None and (problem := self.problems.get(profile)) is not None:
            raise problem
        layers = [self.profiles[name] for name in self.order[profile]] if profile is not None else []
        config = deepcopy(reduce(merged, layers, dict(self.defaults)))
        for name, value in (overrides or {}).items():
            override(config, name, value, file=self.file)
        return config

    def explain(self, profile: str | None = None, overrides: Mapping[str, Any] | None = None) -> list[ExplainedValue]:
        """Return every value of the configuration that `resolve` returns, with the file and line, or the override, it is from.

        Raises:
            ProfileError, SerializationError: as `resolve` does.
        """
        from molexp._profiles.explaining import Layer, explain

        config = self.resolve(profile, overrides)
        names = self.order[profile] if profile is not None else ()
        layers = [Layer("defaults", ("defaults",), self.defaults)]
        layers += [Layer(name, ("profiles", name), self.profiles[name]) for name in names]
        return list(explain(self.file, self.text, layers, config, overrides or {}))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `over` on top: mappings are merged, anything else is replaced, lists too."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return result


def _mapping(source: Source, value: Any, *path: str) -> dict[str, Any]:
    """Return a mapping of the file; nothing at all is an empty one."""
    what = " of ".join(repr(part) for part in reversed(path)) or "the file"
    if path and not path[-1].strip():
        raise source.error("a profile has no name", *path, hint="Any text will do.")
    if value is None:
        return {}
    if not isinstance(value, dict):
        kind = {list: "a list", str: "text", bool: "a boolean"}.get(type(value), "a number")
        raise source.error(f"{what} is {kind} where a mapping of names to values belongs", *path)
    return value


def _extends(source: Source, profiles: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    found = profiles[name].get("extends", [])
    names: list[Any] = found if isinstance(found, list) else [found]
    for other in names:
        if not isinstance(other, str):
            reason = f"the profile {name!r} extends {other!r}, which is not a name"
            raise source.error(reason, "profiles", name, "extends", hint="Write a name, or a list of names.")
        if other not in profiles:
            reason = f"the profile {name!r} extends {other!r}, and there is no such profile"
            raise source.error(reason, "profiles", name, "extends", nearest=nearest(other, profiles))
    return names


def _order(
    source: Source, profiles: Mapping[str, Mapping[str, Any]], problems: Mapping[str, ProfileError], name: str
) -> tuple[str, ...]:
    """Return the profiles that make up this one, each after all that it extends."""
    done: list[str] = []

    def visit(current: str, above: tuple[str, ...]) -> None:
        if current in problems:
            raise problems[current]
        if current in above:
            cycle = " -> ".join(map(repr, (*above[above.index(current) :], current)))
            reason = f"profiles extend each other in a circle: {cycle}"
            raise source.error(reason, "profiles", above[-1], "extends", hint="Take one of them out.")
        if current not in done:
            for other in _extends(source, profiles, current):
                visit(other, (*above, current))
            done.append(current)

    visit(name, ())
    return tuple(done)
