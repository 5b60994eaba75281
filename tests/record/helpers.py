"""Look through the record as its tests do: places seen from behind, child processes, plugins made on the spot."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import attrs
import msgspec
import pytest

import molexp as me
from molexp.contracts import Store
from molexp.plugins import PluginManager, default_manager
from tests import warm

VOID = b'{"schema":1,"type":"void"}\n'
"""The document that fences a key that somebody announced and never created; docs/explanation/record.md."""

DEADLINE = 300  # seconds; nothing here takes long, but a test must not hang


class Place:
    """Hold the place of a workspace. It reads and writes keys behind the workspace's back."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self.options = dict(options or {})
        self.store: Store = self._backend().open(url, self.options)

    def _backend(self) -> type[Store]:
        return default_manager().storage_backend(self.url.partition("://")[0] if "://" in self.url else "file")

    def workspace(self, **options: Any) -> me.Workspace:
        return me.Workspace(self.url, storage_options=self.options, **options)

    def load(self, **options: Any) -> me.Workspace:
        return me.Workspace.load(self.url, storage_options=self.options, **options)

    @property
    def folder(self) -> Path:
        return Path(self.url)

    def record(self) -> list[str]:
        """Every key of the record; what is derived is left out."""
        return sorted(stat.key for stat in self.store.list() if not stat.key.startswith(".molexp/"))

    def everything(self) -> dict[str, bytes]:
        """All keys, derived ones too, with their bytes."""
        return {stat.key: self.store.read(stat.key) for stat in self.store.list()}

    def document(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.store.read(key))
        return found

    def change(self, key: str, **values: Any) -> None:
        """Write a document again with `values` in it, as another version of MolExp might have."""
        self.store.write(key, msgspec.json.encode({**self.document(key), **values}))


def edit(place: Place, folder: str, op: str, **values: Any) -> str:
    """Write an edit as docs/explanation/record.md has it, by somebody who looks at nothing before; returns its key."""
    moment = datetime.now(UTC)
    name = f"{moment:%Y%m%d-%H%M%S-%f}-{os.urandom(4).hex()}"
    document = {"schema": 1, "type": "edit", "id": name, "token": os.urandom(8).hex(), "op": op}
    document |= {"at": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z", "by": {"user": "u", "host": "h"}, **values}
    key = f"{folder}/edits/{name}.json"
    place.store.create(key, msgspec.json.encode(document))
    return key


READING = ("read", "read_many", "open_read")
LOOKING = (*READING, "stat", "exists", "list", "children")
CHANGING = ("write", "create", "append", "open_append", "open_write", "rename", "delete")


def amid(
    monkeypatch: pytest.MonkeyPatch,
    store: Store,
    operations: Iterable[str],
    about: str,
    act: Callable[[], Any],
    *,
    after: bool = False,
    every: bool = False,
) -> None:
    """Let somebody act when storage of this kind is asked for something, before that is done or after it, once or every time.

    Args:
        monkeypatch: undoes it.
        store: of the kind that is meant.
        operations: methods of a store.
        about: is part of the key, or of one of the keys.
        act: what happens; an error is one of the storage.
        after: whether it happens after the operation.
        every: whether it happens every time.
    """
    kind, waiting = type(store), [act]
    for name in operations:
        original = getattr(kind, name)

        def call(self: Store, what: Any = "", *rest: Any, _original: Any = original, **options: Any) -> Any:
            keys = [what] if isinstance(what, str) else what
            acting = [*waiting] if any(about in key for key in keys) else []
            if acting and not every:
                waiting.clear()
            if acting and not after:
                act()
            found = _original(self, what, *rest, **options)
            if acting and after:
                act()
            return found

        monkeypatch.setattr(kind, name, call)


@attrs.frozen
class Child:
    """A process that has ended."""

    code: int
    out: str
    err: str


def run_script(
    folder: Path, lab: Place, code: str, environ: Mapping[str, str], start: Callable[..., Any] = warm.run
) -> Child:
    """Run Python code in a process of its own, to its end; `start` is ``run`` of `tests.warm` or of `subprocess`."""
    done = start(
        [sys.executable, "-c", dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "LAB": lab.url, **environ},
        timeout=DEADLINE,
    )
    return Child(done.returncode, done.stdout, done.stderr)


_BOUND = """
import ctypes
system, header = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable
assert system.capget(header, sets) == 0, ctypes.get_errno()
for one in range(3):
    sets[one] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
assert system.capset(header, sets) == 0, ctypes.get_errno()
for capability in (1, 2):
    assert system.prctl(24, capability, 0, 0, 0) == 0, ctypes.get_errno()  # PR_CAPBSET_DROP: nor those that it starts
"""


def bound_by_modes(code: str) -> str:
    """Python code for somebody whom the modes of files and folders bind, as they do not bind root."""
    return code if os.geteuid() != 0 else _BOUND + code


def install(folder: Path, name: str, source: str, version: str = "1.0") -> PluginManager:
    """Install a distribution with one plugin module into `folder`; a manager that sees it beside what is installed."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{name.replace('-', '_')}.py").write_text(dedent(source), encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[molexp.plugins]\n{name} = {name.replace('-', '_')}\n")
    sys.modules.pop(name.replace("-", "_"), None)  # another test's, of the same name
    importlib.invalidate_caches()
    return PluginManager(path=[*sys.path, str(folder)])


def suspend(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let a machine sleep, as a laptop does that is closed: all of its processes do, and only some of its clocks."""
    clock, on = time.clock_gettime, {getattr(time, "CLOCK_BOOTTIME", None), time.CLOCK_REALTIME}
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + seconds * (which in on))
