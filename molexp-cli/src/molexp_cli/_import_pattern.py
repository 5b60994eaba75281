"""Patterns of folders: ``a{a:float}_xc{xc}/seed{seed:int}``. What stands in braces is a parameter."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_FIELD = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}|(\*)")
_FORMS = {
    "": r".+?",
    "str": r".+?",
    "int": r"[-+]?\d+",
    "float": r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?",
}


class Match(NamedTuple):
    """A folder that matches, the parameters in its path, and where it lies if a link leads there, else ""."""

    folder: Path
    parameters: dict[str, Any]
    linked: str = ""


class LeftOut(NamedTuple):
    """A folder, or what else was found, that does not become a run, and why."""

    folder: Path
    why: str


class Pattern:
    """The names of folders below a folder, level by level.

    Args:
        text: names of folders with fields ``{name}`` or ``{name:type}`` and ``*``, joined by slashes.

    Raises:
        ValueError: it is none.
    """

    def __init__(self, text: str) -> None:
        self.levels: list[str] = [level for level in text.split("/") if level not in ("", ".")]
        if not self.levels or text.startswith("/") or ".." in self.levels:
            raise ValueError(f"{text!r} is no pattern of folders below the one that you name: write 'a{{a:float}}'.")
        self._types: dict[str, str] = {}
        self._forms = [re.compile(self._form(level), re.DOTALL) for level in self.levels]

    def _form(self, level: str) -> str:
        """Return the regular expression of one level."""
        found, end = "", 0
        for field in _FIELD.finditer(level):
            found += self._literal(level[end : field.start()], level)
            end = field.end()
            name, kind = (field[1] or "").strip(), (field[2] or "").strip()
            if kind not in _FORMS:
                raise ValueError(f"{field[0]!r} in the pattern has the type {kind!r}; there are int, float and str.")
            if not name:
                found += r".*" if field[3] else _FORMS[kind]
                continue
            if any(
                name == other or f"{name}.".startswith(f"{other}.") or other.startswith(f"{name}.")
                for other in self._types
            ):
                raise ValueError(f"The pattern has the parameter {name!r} twice, or as a whole and in part.")
            found += f"(?P<p{len(self._types)}>{_FORMS[kind]})"
            self._types[name] = kind
        return found + self._literal(level[end:], level)

    def _literal(self, text: str, level: str) -> str:
        if "{" in text or "}" in text:
            raise ValueError(f"The braces of {level!r} in the pattern do not close: write {{name}} or {{name:type}}.")
        return re.escape(text)

    def find(self, folder: Path) -> Iterator[Match | LeftOut]:
        """Yield what matches below a folder, and what does not, with the reason; hidden folders do not count.

        Raises:
            OSError: the folder cannot be read.
        """
        yield from self._find(folder, sorted_folders(folder), 0, {}, linked=False)

    def _find(
        self, above: Path, folders: list[Path], depth: int, texts: dict[str, str], *, linked: bool
    ) -> Iterator[Match | LeftOut]:
        if not folders:
            yield LeftOut(above, f"there is no folder in it, such as {self.levels[depth]!r}")
        for folder in folders:
            found, is_linked = self._forms[depth].fullmatch(folder.name), linked or folder.is_symlink()
            if found is None:
                yield LeftOut(folder, f"its name is not of the form {self.levels[depth]!r}")
            elif os.path.exists(folder / "workspace.json"):
                yield LeftOut(folder, "it is a workspace: molexp sync --merge takes its runs along")
            elif depth + 1 < len(self.levels):
                try:
                    below = sorted_folders(folder)
                except OSError as error:
                    yield LeftOut(folder, f"it cannot be read: {error.strerror}")
                    continue
                yield from self._find(folder, below, depth + 1, texts | found.groupdict(), linked=is_linked)
            else:
                yield self._match(folder, texts | found.groupdict(), os.path.realpath(folder) if is_linked else "")

    def _match(self, folder: Path, texts: dict[str, str], linked: str) -> Match | LeftOut:
        found: dict[str, Any] = {}
        for number, (name, kind) in enumerate(self._types.items()):
            text = texts[f"p{number}"]
            try:
                put(found, name, _value(text, kind))
            except ValueError as error:
                return LeftOut(folder, f"{name}={text!r}: {error}")
        return Match(folder, found, linked)


def spelled(path: str | Path) -> str:
    """Return a path as the record has it, whatever the encoding of its names is."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sorted_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder by name, numbers in the order of their values; not those that are hidden."""
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return sorted(found, key=lambda one: _natural(one.name))


def _natural(name: str) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(int(part) if number % 2 else 0, part) for number, part in enumerate(parts)]


def _value(text: str, kind: str) -> Any:
    if kind == "str":
        return text
    if kind in ("int", "float"):
        return int(text) if kind == "int" else float(text)
    import molexp

    return molexp.parse_parameters([f"value={text}"])["value"]


def put(within: dict[str, Any], name: str, value: Any) -> None:
    """Set ``b.c`` in a dict as c within b."""
    *above, last = name.split(".")
    for part in above:
        within = within.setdefault(part, {})
    within[last] = value
