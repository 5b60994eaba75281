"""A folder of distributions like those that pip installs: modules beside ``NAME-VERSION.dist-info``."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path
from textwrap import dedent

import pytest

from molexp.plugins import PluginManager
from tests.repository import pyproject

KINDS = """
from recorder import events
events.append("import {module}")
from molexp.contracts import AssetKind
from molexp.hookspecs import hookimpl

class {cls}(AssetKind):
    name = "{kind}"
    def save(self, obj, sink): return {{}}
    def load(self, source): return None

@hookimpl
def molexp_register_asset_kinds():
    events.append("ask {module}")
    return [{cls}]
"""


class Site:
    """Hold the folders in which distributions are installed for one test."""

    def __init__(self, folder: Path, events: list[str]) -> None:
        self.folder = folder
        self.events = events

    def install(
        self,
        name: str,
        source: str = "",
        *,
        version: str = "1.0",
        entry_points: Mapping[str, str] | None = None,
        requires: Iterable[str] = (),
        folder: Path | None = None,
        group: str = "molexp.plugins",
    ) -> None:
        """Install a distribution with one module of its name, which is a plugin of its name unless said otherwise."""
        module = name.replace("-", "_")
        where = folder or self.folder
        left = Path(getattr(sys.modules.get(module), "__file__", None) or "/")
        if left.is_relative_to(self.folder.parent.parent) and not left.is_relative_to(self.folder.parent):
            del sys.modules[module]  # that of a script which another test executed in this process
        info = where / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (where / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        entries = {name: module} if entry_points is None else entry_points
        lines = "".join(f"{entry} = {value}\n" for entry, value in entries.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
        (info / "RECORD").write_text(f"{module}.py,,\n")
        importlib.invalidate_caches()

    def install_kind(self, name: str, kind: str, cls: str = "Kind", **options: object) -> None:
        """Install a sound plugin that registers one asset kind."""
        source = KINDS.format(module=name.replace("-", "_"), kind=kind, cls=cls)
        self.install(name, source, **options)  # type: ignore[arg-type]

    def python(self, code: str) -> str:
        """Run code in a fresh process that has this folder on its path, and return what it printed."""
        if not any(distributions(name="molexp-core")):  # the source tree alone: say what its pyproject.toml says
            self.install(
                "molexp-core", entry_points=pyproject("molexp-core")["project"]["entry-points"]["molexp.plugins"]
            )
            (self.folder / "molexp_core.py").unlink()
        path = os.pathsep.join([str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            [sys.executable, "-c", dedent(code)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder.parent,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def manager(self, extra: Iterable[object] = (), **environ: str) -> PluginManager:
        """A manager that sees nothing but this folder and these variables."""
        return PluginManager(path=[str(self.folder)], environ=environ, extra=extra)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    recorder = types.ModuleType("recorder")
    recorder.events = []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "recorder", recorder)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a second version of a module within one second
    before = set(sys.modules)
    yield Site(folder, recorder.events)
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]
