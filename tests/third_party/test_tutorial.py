"""A stranger follows the tutorial in an environment of their own; then the plugin goes, comes back, and changes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.third_party import tutorial
from tests.third_party.environments import Environment, build, make, needs_uv
from tests.third_party.tutorial import TUTORIAL

pytestmark = needs_uv

AUTHORS_LINES = {"molexp-spectrum": 40, "molexp-walk": 60, "molexp-ensemble": 60}
USES = {"molexp-spectrum": "dyes.py", "molexp-walk": "walk.py", "molexp-ensemble": "butane.py"}

LOOK = """
import sys
import molexp as me
ws = me.Workspace.load(sys.argv[1])
found = {}
for asset in ws.catalog.assets(scope=sys.argv[2]):
    shown = {"type": type(asset).__name__, "bytes": asset.read_bytes().decode(), "record": asset.to_dict()}
    shown["problem"] = getattr(asset, "problem", "")
    if not shown["problem"]:
        shown["object"] = repr(asset.load())
    found[asset.name] = shown
print(me.to_json(found))
"""
RUN = "dyes/uv-vis/indigo"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment in which the page was followed, from its first line to its last."""
    made = make(tmp_path_factory.mktemp("tutorial"))
    for block in tutorial.steps(TUTORIAL):
        tutorial.follow(made, block)
    return made


@pytest.mark.parametrize("name", AUTHORS_LINES)
def test_the_author_writes_few_lines(name):
    files = tutorial.files(TUTORIAL)
    own = [text for path, text in files.items() if path.startswith(f"{name}/") or path == USES[name]]
    assert 1 < sum(map(tutorial.logical_lines, own)) <= AUTHORS_LINES[name]


def test_the_page_does_what_it_says(environment):
    known = environment.run("molexp", "plugins", "list", "--json")
    provided = {one["distribution"]: one["provides"] for one in json.loads(known.out)["plugins"]}
    assert {name: provided[name] for name in AUTHORS_LINES} == {
        name: {"asset kind": [name.removeprefix("molexp-")]} for name in AUTHORS_LINES
    }


@pytest.fixture(scope="module")
def versions(environment: Environment) -> dict[int, Path]:
    """The wheels of the first version, which is installed, and of the second, which is what the page ends with."""
    (first,) = (environment.home.parent / "wheels").glob("molexp_spectrum-*.whl")
    project = environment.home / "molexp-spectrum" / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.2.0"'))
    (second,) = build(environment.home.parent / "wheels", environment.home / "molexp-spectrum")
    return {1: first, 2: second}


def look(environment: Environment, workspace: str, run: str = RUN) -> dict[str, Any]:
    """Return what a program in the environment sees of the assets of a run."""
    done = environment.run("python", "-c", LOOK, workspace, run)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


def test_a_plugin_goes_comes_back_and_changes_and_its_records_stay(environment, versions):
    environment.install(versions[1])
    at_first = look(environment, "lab")["measured"]
    assert at_first["type"] == "Asset"
    assert at_first["record"]["fields"] == {"n_points": 3, "peak": 600.0}

    environment.uninstall("molexp-spectrum")
    without = look(environment, "lab")["measured"]
    assert without["type"] == "UnknownAsset"
    assert without["record"] == at_first["record"]
    assert without["bytes"] == at_first["bytes"]
    assert without["problem"] == "the kind 'spectrum' is not installed; it was written by molexp-spectrum 0.1.0"
    shutil.copytree(environment.home / "lab", environment.home / "copied")
    synced = environment.run("molexp", "sync", "lab", "synced", "--json")
    assert synced.code == 0, synced.err
    listed = environment.run("molexp", "-w", "synced", "assets", "list", "peak < 500", "--kind", "spectrum")
    assert re.search(r"alizarin#1:spectrum:measured@1 .* 420\.0", listed.out)

    environment.install(versions[2])
    upgraded = look(environment, "synced")["measured"]
    assert upgraded["record"]["fields"] == {"n_points": 3, "peak_nm": 600.0, "solvent": "water"}
    assert {**upgraded["record"], "fields": 0} == {**at_first["record"], "fields": 0}
    assert upgraded["object"] == at_first["object"]
    written = environment.run("python", "-c", NEWER)
    assert written.out.splitlines() == [RUN, "dyes/uv-vis/mauveine", "dyes/uv-vis/henna"], written.err
    newer = look(environment, "copied", "dyes/uv-vis/henna")["measured"]
    assert newer["record"]["fields"] == {"n_points": 2, "peak_nm": 510.0, "solvent": "water"}

    environment.install(versions[1])
    assert look(environment, "copied")["measured"] == at_first == look(environment, "synced")["measured"]
    unknown = look(environment, "copied", "dyes/uv-vis/henna")["measured"]
    assert unknown["type"] == "UnknownAsset"
    assert unknown["record"] == newer["record"]
    assert "molexp-spectrum 0.2.0 with schema 2, and molexp-spectrum 0.1.0 knows those up to 1" in unknown["problem"]

    environment.install(versions[2])
    assert look(environment, "copied", "dyes/uv-vis/henna")["measured"] == newer


NEWER = """
import molexp as me
from molexp_spectrum.kinds import Spectrum
ws = me.Workspace.load("copied")
with ws.project("dyes").experiment("uv-vis").Run(id="henna").start() as ctx:
    ctx.save("measured", Spectrum((500.0, 510.0), (0.1, 0.2)))
for asset in ws.catalog.assets("peak_nm > 500 and solvent == 'water'", sort="-peak_nm"):
    print(asset.producer.run)
"""
