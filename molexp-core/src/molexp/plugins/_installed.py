"""The metadata of installed distributions, read from its files: importing `importlib.metadata` alone takes longer."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import PathFinder

from msgspec import Struct
from msgspec.structs import replace

from molexp.plugins._selection import normalized

_SUFFIXES = (".dist-info", ".egg-info")


class Installed(Struct, frozen=True):
    """A distribution.

    Attributes:
        place: the folder that it is installed in.
        filed_as: the normalized name that its metadata is filed under.
        read: returns the text of a metadata file; None if there is none.
        folder: the folder of its metadata; "" if that is in no folder.
    """

    place: str
    filed_as: str
    read: Callable[[str], str | None]
    folder: str = ""

    def entry_points(self, group: str) -> list[tuple[str, str]]:
        """Return names and values of the entry points of a group; none if their file cannot be read."""
        try:
            text = self.read("entry_points.txt") or ""
        except (OSError, ValueError):  # unreadable, or not UTF-8: some other package's trouble
            return []
        found, section = [], ""
        for line in map(str.strip, text.splitlines() if group in text else ()):
            name, is_pair, value = line.partition("=")
            if line.startswith("["):
                section = line.strip("[]")
            elif section == group and is_pair and not line.startswith("#"):
                found.append((name.strip(), value.strip()))
        return found

    def metadata(self) -> tuple[str, str, list[str]]:
        """Return the name and version that its metadata says, "" if it does not, and the requirements.

        Raises:
            OSError, ValueError: it cannot be read.
        """
        fields: dict[str, list[str]] = {"name": [], "version": [], "requires-dist": []}
        for line in (self.read("METADATA") or self.read("PKG-INFO") or "").split("\n"):
            if not line:
                break  # a description follows
            field, _, value = line.partition(":")
            fields.setdefault(field.lower(), []).append(value.strip())
        names, versions, requires = fields["name"], fields["version"], fields["requires-dist"]
        return names[0] if names else "", versions[0] if versions else "", requires

    @property
    def is_sound(self) -> bool:
        """False for the empty folder that an interrupted ``pip`` leaves behind."""
        try:
            return bool(self.metadata()[0])
        except (OSError, ValueError):
            return False


def installed(path: Sequence[str] | None) -> list[Installed]:
    """Return the distributions on `path` (by default ``sys.path``), in its order."""
    folders = [os.fspath(one) for one in (sys.path if path is None else path) if isinstance(one, str | os.PathLike)]
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return list(_found_by_finders(folders))
    try:
        return [found for folder in dict.fromkeys(folders) for found in _in_folder(folder)]
    except NotADirectoryError:  # an archive
        return list(_found_by_finders(folders))


def _in_folder(folder: str) -> Iterator[Installed]:
    if folder.endswith(".egg"):
        raise NotADirectoryError(folder)  # metadata has another name there
    try:
        names = os.listdir(folder or ".")
    except NotADirectoryError:
        raise
    except OSError:  # not there, or not for us
        return
    for name in sorted(name for name in names if name.endswith(_SUFFIXES)):
        own = os.path.join(folder, name)
        yield Installed(folder, normalized(name.rpartition(".")[0].partition("-")[0]), _reader(own), own)


def _reader(folder: str) -> Callable[[str], str | None]:
    def read(name: str) -> str | None:
        try:
            with open(os.path.join(folder, name), "rb", buffering=0) as file:  # of hundreds of files, few say anything
                return file.read().decode().replace("\r\n", "\n")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
            return None

    return read


def _found_by_finders(path: Sequence[str]) -> Iterator[Installed]:
    """Yield the distributions where Python imports from more than folders."""
    from importlib.metadata import distributions

    for one in distributions(path=list(path)):
        found = Installed(str(one.locate_file("")), "", one.read_text, str(getattr(one, "_path", "")))
        try:
            name = normalized(found.metadata()[0])
        except (OSError, ValueError):
            name = ""
        yield replace(found, filed_as=name)
