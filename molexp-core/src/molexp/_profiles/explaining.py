"""The origin of each value of a configuration: the file and line, or the override."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, TypeAlias

from msgspec import Struct

from molexp._profiles.overrides import override

Path: TypeAlias = tuple[str, ...]

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")


class ExplainedValue(Struct, frozen=True):
    """A value of a configuration, and its origin.

    Attributes:
        name: its dotted name.
        value: the value.
        origin: ``defaults``, the name of a profile, or ``override``.
        file: the profile file; "" for an override.
        line: the line in that; 0 where the format does not tell.

    Example:
        >>> from molexp.scripts import Profiles
        >>> _ = Path("molcfg.json").write_text('{"defaults": {"tol": 0.1}, "profiles": {"fine": {"tol": 1e-9}}}')
        >>> [value] = Profiles.read("molcfg.json").explain("fine")
        >>> (value.name, value.value, value.origin, value.where)
        ('tol', 1e-09, 'fine', 'molcfg.json:1')
    """

    name: str
    value: Any
    origin: str
    file: str = ""
    line: int = 0

    @property
    def where(self) -> str:
        """The place of it: ``molcfg.yaml:7``, or ``--override``."""
        if not self.file:
            return "--override"
        return f"{self.file}:{self.line}" if self.line else self.file


class Layer(Struct, frozen=True):
    """Values of a profile file that are put on top of others.

    Attributes:
        origin: ``defaults``, or the name of a profile.
        place: the path of the values in the file.
        values: the values.
    """

    origin: str
    place: Path
    values: Mapping[str, Any]


def explain(
    file: str, text: str, layers: Iterable[Layer], config: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Iterator[ExplainedValue]:
    """Yield every value of a configuration with its origin, in order.

    Args:
        file: the profile file.
        text: its text.
        layers: the values that make the configuration up, those that count more later.
        config: the configuration, with overrides.
        overrides: the overrides, by the names that were given.
    """
    origins: dict[Path, tuple[str, int]] = {}
    lines = lines_of(text, file)
    below: dict[str, Any] = {}
    for layer in layers:
        for path, _ in leaves(layer.values):
            _forget(origins, path)
            origins[path] = layer.origin, _line(lines, (*layer.place, *path))
        below = _merged(below, layer.values)
    for name, value in overrides.items():
        path = _place_of(below, name)
        override(below, name, value, file=None)
        for inner in [(*path, *rest) for rest, _ in leaves(value)] if isinstance(value, dict) and value else [path]:
            _forget(origins, inner)
            origins[inner] = "override", 0
    for path, value in leaves(config):
        origin, line = origins.get(path, ("", 0))
        yield ExplainedValue(".".join(path), value, origin, "" if origin == "override" else file, line)


def leaves(values: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield what is no mapping, or an empty one, with its path."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def lines_of(text: str, file: str) -> Mapping[Path, int]:
    """Return the lines of keys by their paths, as far as the format tells."""
    if file.endswith(".toml"):
        return dict(_lines_of_toml(text))
    from molexp._profiles.yaml_files import read_yaml
    from molexp.errors import ProfileError

    try:
        return read_yaml(text, file)[1]  # JSON is YAML
    except ProfileError:
        return {}


def _lines_of_toml(text: str) -> Iterator[tuple[Path, int]]:
    table: Path = ()
    quote = ""  # of a text of several lines that goes on
    for number, line in enumerate(text.splitlines(), 1):
        if quote:
            quote = "" if line.count(quote) % 2 else quote
            continue
        if header := _HEADER.fullmatch(line):
            table = _parts(header[1])
            yield table, number
        elif key := _KEY.match(line):
            yield (*table, *_parts(key[1])), number
        quote = next((mark for mark in ('"""', "'''") if line.partition("#")[0].count(mark) % 2), "")


def _parts(name: str) -> Path:
    return tuple(part.strip("\"'") for part in _PART.findall(name))


def _line(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of a key, or of what it lies in: an inline table of TOML has one for all."""
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 0)


def _forget(origins: dict[Path, tuple[str, int]], path: Path) -> None:
    """Forget the origins of what a value at a path replaces."""
    for known in [one for one in origins if one[: len(path)] == path or path[: len(one)] == one]:
        del origins[known]


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    from molexp._profiles.profiles import merged

    return deepcopy(merged(base, over))


def _place_of(config: dict[str, Any], name: str) -> Path:
    """Return the path that an override of this name sets."""
    mark = "\0the value of this override"
    trial = deepcopy(config)
    override(trial, name, mark, file=None)
    return next(path for path, value in leaves(trial) if value == mark)
