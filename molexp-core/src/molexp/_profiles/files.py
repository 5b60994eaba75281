"""The contents of a profile file as plain values, in whatever format it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from molexp._values.documents import integer
from molexp._values.plain import plain, restore
from molexp._values.text_files import parse_toml, read_small
from molexp.errors import ProfileError, SerializationError


class Source(Struct, frozen=True):
    """The contents of a profile file.

    Attributes:
        file: the name of the file in errors.
        data: the values; an empty file holds None.
        text: the text.
        lines: the lines of its upper keys by their path, as far as the format tells.
    """

    file: str
    data: Any
    text: str = ""
    lines: Mapping[tuple[str, ...], int] = field(default_factory=dict)

    def error(self, reason: str, *path: str, hint: str = "", nearest: tuple[str, ...] = ()) -> ProfileError:
        """Return an error about the value at a path."""
        return ProfileError(self.file, reason, line=self.lines.get(path, 0), hint=hint, nearest=nearest)


def read_source(path: Path) -> Source:
    """Read a profile file, in the format that its suffix tells.

    Raises:
        ProfileError: it cannot be read, is not in that format, or has what JSON cannot carry.
    """
    found = _read(path)
    return replace(found, data=checked(found.data, found.file))


def read_values(path: str | os.PathLike[str]) -> Any:
    """Read a JSON, YAML or TOML file as its suffix tells, YAML by the rules of profiles: ``1e-3`` is a float, ``no`` is text.

    Args:
        path: a local file.

    Returns:
        Plain values, NaN included; None for an empty YAML file.

    Raises:
        ProfileError: it cannot be read, or is not in that format; names the line.

    Example:
        >>> from molexp.scripts import read_values
        >>> _ = Path("params.yaml").write_text("cell: {a: 1e-3}")
        >>> read_values("params.yaml")
        {'cell': {'a': 0.001}}
    """
    return _read(path).data


def checked(data: Any, file: str, where: str = "") -> Any:
    """Return plain values with all that JSON can carry, dates as text.

    Raises:
        ProfileError: something that JSON cannot carry, NaN included.
    """
    try:
        return restore(plain(data, where=where, nan=False))
    except SerializationError as error:
        raise ProfileError(file, str(error).removesuffix(".")) from None


def _read(path: str | os.PathLike[str]) -> Source:
    file, path = str(path), Path(path)
    text = _text(path, file)
    if path.suffix in {".toml", ".json"}:
        return Source(file, _toml(text, file) if path.suffix == ".toml" else _json(text, file), text)
    from molexp._profiles.yaml_files import read_yaml

    data, lines = read_yaml(text, file)
    return Source(file, data, text, lines)


def _text(path: Path, file: str) -> str:
    if path.suffix not in {".yaml", ".yml", ".toml", ".json"}:
        raise ProfileError(file, "its format is not known", hint="A profile file ends in .yaml, .yml, .toml or .json.")
    try:
        data = read_small(path)
    except FileNotFoundError:
        raise ProfileError(file, "there is no such file", hint="Check the path.") from None
    except OSError as error:
        raise ProfileError(
            file, f"it cannot be read ({error.strerror})", hint="Check that it is a file that you may read."
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProfileError(file, "it is not UTF-8", line=line, hint="Save it with that encoding.") from None


def _toml(text: str, file: str) -> Any:
    try:
        return parse_toml(text)
    except (ValueError, RecursionError) as error:
        found = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        reason = str(error)[: found.start()] if found else str(error)
        raise ProfileError(file, f"it is not valid TOML ({reason})", line=int(found[1]) if found else 0) from None


def _json(text: str, file: str) -> Any:
    import json
    from collections import Counter

    def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(members)
        if len(found) < len(members):
            twice = Counter(key for key, _ in members).most_common(1)[0][0]
            raise ProfileError(file, f"the key {twice!r} is there twice in one object", hint="Remove one.")
        return found

    try:
        return json.loads(text, object_pairs_hook=once, parse_int=integer)
    except json.JSONDecodeError as error:
        reason = error.msg if text.strip() else "it is empty"
        raise ProfileError(file, f"it is not valid JSON ({reason})", line=error.lineno) from None
    except ValueError as error:
        raise ProfileError(file, str(error)) from None
    except RecursionError:
        raise ProfileError(file, "it is nested too deep", hint="Flatten it.") from None
