"""Nothing is imported before it is needed: ten heavy plugins cost those nothing who do not ask for them."""

from __future__ import annotations

import json

import pytest

PLUGIN = """
from molexp import hookimpl
from molexp.contracts import Declared
@hookimpl
def molexp_register_asset_kinds(): return [Declared("{name}", "{name}_kinds:Kind", types=("{name}_library.Thing",))]
"""
KINDS = """
import {name}_library
from molexp.contracts import AssetKind, NoFields
class Kind(AssetKind):
    name = "{name}"
    def save(self, obj, sink):
        sink.write(b"heavy")
        return NoFields()
    def load(self, source): return None
"""
ASK = """
import json, sys
from pathlib import Path
tries = []
sys.addaudithook(lambda event, args: tries.append(args) if event == "subprocess.Popen" and args[1][0] == sys.executable else None)
import molexp as me
ws = me.Workspace("lab")
run = ws.Project("p").Experiment("e").Run()
with run.start() as ctx:
    {act}
print(json.dumps([sorted(name for name in sys.modules if name.startswith("heavy")), len(tries)]))
"""


@pytest.fixture
def ask(site, monkeypatch, tmp_path):
    """Return a function that does something under a run, in a process of its own; it returns what that imported and started."""
    monkeypatch.setenv("MOLEXP_CACHE_DIR", str(tmp_path / "cache"))
    for number in range(10):
        name = f"heavy{number}"
        site.install(name, PLUGIN.format(name=name))
        (site.folder / f"{name}_kinds.py").write_text(KINDS.format(name=name))
        (site.folder / f"{name}_library.py").write_text("class Thing: ...\n")

    def ask(act: str) -> tuple[list[str], int]:
        imported, started = json.loads(site.python(ASK.format(act=act)).splitlines()[-1])
        return imported, started

    return ask


@pytest.mark.parametrize(
    "act",
    [
        "...",
        "ctx.artifact.save('a.json', [1])",
        "ctx.save('a.json', {'a': [1]}); ctx.save('b.txt', 'text'); ctx.save('c.py', Path(me.__file__))",
        "ctx.metrics.log(step=1, loss=0.5); ctx.log('relax').append('done'); ctx.checkpoint.save('c.json', {'w': 1})",
        "print(list(ws.catalog.runs()), list(ws.catalog.assets()), run.assets, ws.gc(), ws.fsck())",
    ],
)
def test_a_run_that_needs_none_of_them_imports_none_and_tries_none(ask, act):
    assert ask(act) == ([], 0)


def test_an_object_is_saved_by_the_one_kind_that_names_its_type(ask):
    act = "from heavy5_library import Thing; print(ctx.save('thing', Thing()).kind)"
    assert ask(act)[0] == ["heavy5", "heavy5_kinds", "heavy5_library"]


def test_whoever_needs_one_imports_that_one(ask):
    imported, tries = ask("ctx.heavy3.save('thing', object())")
    assert imported == ["heavy3", "heavy3_kinds", "heavy3_library"]
    assert tries == 10
    assert ask("ctx.heavy3.save('thing', object())") == (imported, 0)


def test_what_two_strangers_contend_for_is_saved_by_neither_and_stays_readable(ask, site):
    ask("ctx.heavy3.save('thing', object())")
    site.install("rival", PLUGIN.format(name="rival").replace('"rival", "', '"heavy3", "'))
    (site.folder / "rival_kinds.py").write_text(KINDS.format(name="rival").replace('"rival"', '"heavy3"'))
    (site.folder / "rival_library.py").write_text("")
    told = site.python("""
        import warnings
        warnings.simplefilter("ignore")
        import molexp as me
        ws = me.Workspace("lab")
        (asset,) = ws.catalog.assets(name="thing")
        print(type(asset).__name__, asset.read_bytes())
        print(asset.problem.replace(chr(10), " "))
    """)
    first, problem = told.splitlines()
    assert first == "UnknownAsset b'heavy'"
    assert "heavy3 (heavy3 1.0)" in problem
    assert "rival (rival 1.0)" in problem


KIND = """
from molexp.contracts import AssetKind, NoFields
from molexp.hookspecs import hookimpl

class Kind(AssetKind[object, NoFields]):
    name = "{name}"
    def save(self, obj, sink): return NoFields()
    def load(self, source): return None

@hookimpl{options}
def {hook}(): return [Kind]
"""


def test_pluggy_is_imported_for_more_than_a_module_of_plain_functions(site):
    hook = "molexp_register_asset_kinds"
    site.install("plain", KIND.format(name="plain", options="", hook=hook))
    site.install("renamed", KIND.format(name="renamed", options=f"(specname={hook!r})", hook="kinds"))
    done = site.python(f"""
        import sys
        from molexp.plugins import PluginManager
        for name in ("plain", "renamed"):
            manager = PluginManager(path=[{str(site.folder)!r}], environ={{"MOLEXP_PLUGINS": name}})
            print(*manager.asset_kinds(), "pluggy" in sys.modules)
    """)

    assert done.splitlines() == ["plain False", "renamed True"]
