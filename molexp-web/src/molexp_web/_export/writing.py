"""Write the files of a static copy, those that are new: into a folder, or below a prefix of a bucket."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import attrs

import molexp as me
from molexp.contracts import Store
from molexp.errors import KeyNotFoundError
from molexp.plugins import default_manager

MARK = "molexp-export.json"
"""The list of all files of a copy: who exports again deletes those of the copy before the last."""

_FOLDERS = ("runs/", "columns/", "curves/", "files/", "manifests/")


@attrs.define
class Copy:
    """A static copy that is being written.

    A file's name tells what is in it, so a file that is there is not written again. What the copy before had and this one
    has not stays for the time of one export more, because pages that are open may still ask for it.
    """

    store: Store
    before: frozenset[str]
    left: frozenset[str]
    names: set[str] = attrs.field(factory=set)
    written: int = 0
    size: int = 0

    @classmethod
    def at(cls, target: str) -> Self:
        """Open a copy in a folder, or at a URL.

        Raises:
            ValueError: there is something else, which is not touched.
        """
        scheme, colon, _ = target.partition("://")
        url = target if colon else Path(target).absolute().as_uri()
        backend = default_manager().storage_backend(scheme if colon else "file")
        store = backend.open(url, {} if colon else {"durability": "never"})
        try:
            told = json.loads(store.read(MARK))
            files, before = [[str(one) for one in told[name]] for name in ("files", "before")]
        except KeyNotFoundError:
            if next(iter(store.list()), None) is not None:
                raise ValueError(
                    f"{target} holds something else than a copy by molexp ui --export: choose another place."
                ) from None
            files, before = [], []
        except (LookupError, TypeError, ValueError, RecursionError):
            raise ValueError(f"{MARK} in {target} is not by molexp ui --export: choose another place.") from None
        return cls(store, frozenset(files), frozenset(before))

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

    def write(self, name: str, data: bytes, *, again: bool = False) -> None:
        """Write a file, unless it is there; `again` is for one whose name does not tell what is in it."""
        if again or (name not in self.before and name not in self.left and name not in self.names):
            self.store.write(name, data)
            self.written += 1
            self.size += len(data)
        self.names.add(name)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Say what there is, last of all, and delete what no page asks for any more."""
        name = self.put("manifests", manifest)
        told = {"files": sorted(self.names), "before": sorted(self.before - self.names)}
        self.store.write(MARK, me.to_json(told).encode())
        self.store.write("now.js", f"molexp.now({json.dumps(name)});\n".encode())
        for old in self.left - self.before - self.names:
            if old.startswith(_FOLDERS):
                self.store.delete(old)
        self.store.close()
