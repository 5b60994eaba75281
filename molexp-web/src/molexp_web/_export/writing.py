"""Write the files of a static copy, those that are new: into a folder, or below a prefix of a bucket."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import attrs

import molexp as me
from molexp.contracts import Stat, Store
from molexp.errors import KeyNotFoundError
from molexp.plugins import default_manager

MARK = "molexp-export.json"
"""All files of a copy, and of what it is: who exports again writes what is new, and deletes what the copy before the last had."""

OPEN = 60
"""Seconds after which no page asks any more for what only the copy before had: pages look every ten seconds for a newer one."""

_STALE = 3600  # seconds after which nobody is still writing a file of a copy

_FOLDERS = ("runs/", "index/", "columns/", "tails/", "details/", "files/", "manifests/")
_OURS = re.compile(r"(?:(?:runs|index|columns|tails|details|manifests)/[0-9a-f]{16}\.js|files/[0-9a-f]{32}\.[a-z]+)")


def _ours(store: Store) -> Iterator[Stat]:
    """Yield what lies where copies have their files, whatever somebody else has beside them."""
    yield from store.children().entries
    for folder in _FOLDERS:
        yield from store.list(folder.rstrip("/"))


class OvertakenError(Exception):
    """Another export to the same place has ended meanwhile, and may have deleted what this one found there."""


@attrs.frozen
class Mark:
    """The words of a copy to whoever exports again.

    Attributes:
        files: all its files.
        before: files of the copy before it that it does not have.
        of: a text that changes when something has to be written; "" if nobody can tell.
        runs: the number of runs in it.
        left_out: a sentence for each thing that is not in it.
        site: a hash of each file of the page itself.
        details: by the path of a run that does not go on, a hash of its record, the part with its details, and their other files.
        at: the time at which it was written, in seconds since 1970.
    """

    files: list[str] = attrs.field(factory=list)
    before: list[str] = attrs.field(factory=list)
    of: str = ""
    runs: int = 0
    left_out: list[str] = attrs.field(factory=list)
    site: dict[str, str] = attrs.field(factory=dict)
    details: dict[str, list[str]] = attrs.field(factory=dict)
    at: int = 0

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return what a file says.

        Raises:
            ValueError: it says something else.
        """
        told = json.loads(data)
        kinds = {one.name: one.default.factory if one.default else type(one.default) for one in attrs.fields(cls)}
        if not isinstance(told, dict) or not {"files", "before"} <= told.keys() <= kinds.keys():
            raise ValueError("it has other names")
        if not all(isinstance(found, kinds[name]) for name, found in told.items()):
            raise ValueError("it has other values")
        found = cls(**told)
        lists = (found.files, found.before, found.left_out, [*found.site.values()], *found.details.values())
        if not all(isinstance(one, list) and all(isinstance(name, str) for name in one) for one in lists):
            raise ValueError("it has other values")
        if not all(_OURS.fullmatch(name) for name in (*found.files, *found.before) if "/" in name):
            raise ValueError("it names other files")
        return found

    @property
    def data(self) -> bytes:
        """The words as they are written."""
        return me.to_json(attrs.asdict(self)).encode()


@attrs.define
class Copy:
    """A static copy that is being written.

    A file's name tells what is in it, so a file that is there is not written again. One without a byte is not: after a
    power loss, that is what may be left. What the copy before had and this one
    has not stays for a while, because pages that are open may still ask for it.
    """

    store: Store
    last: Mark
    there: frozenset[str]
    began: bytes
    sizes: Mapping[str, int] | None = None
    stray: frozenset[str] = frozenset()
    names: set[str] = attrs.field(factory=set)
    site: dict[str, str] = attrs.field(factory=dict)
    details: dict[str, list[str]] = attrs.field(factory=dict)
    written: int = 0
    size: int = 0

    @classmethod
    def at(cls, target: str, check: Callable[[str], None] = lambda _: None, *, look: bool = True) -> Self:
        """Open a copy in a folder, or at a URL, unless `check` refuses the canonical one.

        Args:
            target: the folder or URL.
            check: called with the canonical URL.
            look: look which of its files are there; else the last export is believed.

        Raises:
            ValueError: there is something else, which is not touched.
        """
        scheme, colon, _ = target.partition("://")
        url = target if colon else Path(target).absolute().as_uri()
        backend = default_manager().storage_backend(scheme if colon else "file")
        store = backend.open(url, {} if colon else {"durability": "never"})
        check(store.url)
        try:
            last = Mark.read(began := store.read(MARK))
        except KeyNotFoundError:
            if next(iter(store.list()), None) is not None:
                raise ValueError(
                    f"{target} holds something else than a copy by molexp ui --export: choose another place."
                ) from None
            last = Mark()
            store.write(MARK, began := last.data)  # first of all: whoever is stopped now can begin again
        except (ValueError, RecursionError):
            raise ValueError(f"{MARK} in {target} is not by molexp ui --export: choose another place.") from None
        sizes = {entry.key: entry.size for entry in _ours(store)} if look else None
        named = (*last.files, *last.before)
        there = frozenset(named if sizes is None else (name for name in named if sizes.get(name)))
        return cls(store, last, there, began, sizes)

    @property
    def is_whole(self) -> bool:
        """Tell whether all files are there that pages ask for, as far as somebody looked."""
        return self.sizes is None or (self.there.issuperset(self.last.files) and self.sizes.get("now.js", 0) > 0)

    def put(self, kind: str, value: Any) -> str:
        """Write a part, and return its name."""
        text = me.to_json(value)
        name = f"{kind}/{sha256(text.encode()).hexdigest()[:16]}"
        # As a text that the page parses: in a script itself, {"__proto__": ...} would not be what it says.
        self.write(f"{name}.js", f"molexp.part({json.dumps(name)},{json.dumps(text)});\n".encode())
        return name

    def put_file(self, suffix: str, data: bytes) -> str:
        """Write a file, and return its name."""
        name = f"files/{sha256(data).hexdigest()[:32]}.{suffix}"
        self.write(name, data)
        return name

    def put_site(self, name: str, data: bytes) -> None:
        """Write a file of the page itself, whose name does not tell what is in it."""
        self.site[name] = sha256(data).hexdigest()[:16]
        changed = self.sizes is not None and self.sizes.get(name) != len(data)
        self.write(name, data, again=changed or self.site[name] != self.last.site.get(name))

    def write(self, name: str, data: bytes, *, again: bool = False) -> None:
        """Write a file, unless it is there or is to be written `again`."""
        if again or (name not in self.there and name not in self.names):
            self._write(name, data)
        self.names.add(name)

    def _write(self, name: str, data: bytes) -> None:
        self.store.write(name, data)
        self.written += 1
        self.size += len(data)

    def reused(self, path: str, digest: str) -> str | None:
        """Return the part with the details of a run, if they are there and of this record."""
        found = self.last.details.get(path) or [""]
        if found[0] != digest or not {f"{found[1]}.js", *found[2:]} <= self.there:
            return None
        self.remember(path, digest, found[1], found[2:])
        return found[1]

    def remember(self, path: str, digest: str, part: str, files: Iterable[str]) -> None:
        """Let the next export reuse the details of a run."""
        self.details[path] = [digest, part, *files]
        self.names.update((f"{part}.js", *files))

    def settle(self) -> None:
        """Delete what only the copy before had, such as a run that was deleted, when no page asks for it any more."""
        if self.last.before and time.time() - self.last.at >= OPEN:
            self._write(MARK, attrs.evolve(self.last, before=[]).data)
            self._delete(self.last.before)

    def leave(self) -> None:
        """Name what was written by an export that somebody stops, so that the next one uses or deletes it."""
        last = self.last
        before = sorted({*last.before, *self.names}.difference(last.files))
        with suppress(me.MolexpError, OSError):
            if before != last.before and self.store.read(MARK) == self.began:
                self.store.write(MARK, attrs.evolve(last, before=before, at=int(time.time())).data)

    def finish(self, manifest: Mapping[str, Any], of: str) -> None:
        """Say what there is, last of all, and delete what no page asks for any more.

        Raises:
            OvertakenError: another export has ended meanwhile; nothing of this one is shown.
        """
        name = self.put("manifests", manifest)
        before = set(self.last.files)
        mark = Mark(
            files=sorted(self.names),
            before=sorted(before - self.names),
            of=of,
            runs=manifest["total"],
            left_out=manifest["left_out"],
            site=self.site,
            details=self.details,
            at=int(time.time()),
        )
        if self.store.read(MARK) != self.began:
            raise OvertakenError
        self._write("now.js", f"molexp.now({json.dumps(name)});\n".encode())
        self._write(MARK, mark.data)  # after what pages ask for: without it, the next export writes both again
        self._delete((self.there | self.stray | self._unnamed()) - before - self.names)
        with suppress(me.MolexpError):  # a writer may not be allowed to list parts of uploads
            self.store.remove_leftovers(_STALE)

    def _unnamed(self) -> set[str]:
        """Return the names of old parts and files: an export that was killed has named none of its own.

        Those of the last hour may be another export's that is going on here, and names them in an instant.
        """
        old = time.time() - _STALE
        return {one.key for one in _ours(self.store) if 0 < one.modified < old and _OURS.fullmatch(one.key)}

    def _delete(self, names: Iterable[str]) -> None:
        for name in names:
            if name.startswith(_FOLDERS):
                self.store.delete(name)
