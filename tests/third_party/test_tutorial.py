"""A stranger follows the tutorial in an environment of their own; then the plugin goes, comes back, and changes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
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
found = {}
for asset in me.Workspace.load(sys.argv[1]).catalog.assets():
    if asset.kind in ("spectrum", "walk", "ensemble"):
        place, problem = asset.local(), getattr(asset, "problem", "")
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        found[asset.id] = {
            "bytes": {file.name: file.read_text() for file in files},
            "record": {name: value for name, value in asset.to_dict().items() if name != "fields"},
            "fields": asset.to_dict()["fields"],
            "problem": problem,
            "object": "" if problem else repr(asset.load()),
        }
print(me.to_json(found))
"""
INDIGO, HENNA = (f"dyes/uv-vis/{name}#1:spectrum:measured@1" for name in ("indigo", "henna"))


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


@pytest.mark.long
@pytest.mark.parametrize("name", AUTHORS_LINES)
def test_the_types_on_the_page_are_right(environment, name):
    done = environment.run("sh", "-c", f"cd {name} && python -m mypy")
    assert done.code == 0, done.out


@pytest.fixture(scope="module")
def versions(environment: Environment) -> dict[int, Path]:
    """The wheels of the first version, which is installed, and of the second, which is what the page ends with."""
    (first,) = (environment.home.parent / "wheels").glob("molexp_spectrum-*.whl")
    project = environment.home / "molexp-spectrum" / "pyproject.toml"
    project.write_text(project.read_text().replace('version = "0.1.0"', 'version = "0.2.0"'))
    (second,) = build(environment.home.parent / "wheels", environment.home / "molexp-spectrum")
    return {1: first, 2: second}


def look(environment: Environment, workspace: str) -> dict[str, dict[str, Any]]:
    """Return what a program in the environment sees of the assets of the plugins' kinds."""
    done = environment.run("python", "-c", LOOK, workspace)
    assert done.code == 0, done.err
    found: dict[str, dict[str, Any]] = json.loads(done.out)
    return found


def without(facts: Mapping[str, Mapping[str, Any]], *names: str) -> dict[str, dict[str, Any]]:
    return {id_: {name: one for name, one in fact.items() if name not in names} for id_, fact in facts.items()}


def test_plugins_go_come_back_and_change_and_their_records_stay(environment, versions):
    environment.install(versions[1])
    at_first = look(environment, "lab")
    assert len(at_first) == 6
    assert all(fact["object"] for fact in at_first.values())

    environment.uninstall(*AUTHORS_LINES)
    alone = look(environment, "lab")
    assert without(alone, "problem", "object") == without(at_first, "problem", "object")
    assert alone[INDIGO]["problem"] == "the kind 'spectrum' is not installed; it was written by molexp-spectrum 0.1.0"
    assert all("is not installed; it was written by molexp-" in fact["problem"] for fact in alone.values())
    shutil.copytree(environment.home / "lab", environment.home / "copied")
    synced = environment.run("molexp", "sync", "lab", "synced")
    assert synced.code == 0, synced.err
    listed = environment.run("molexp", "-w", "synced", "assets", "list", "peak < 500", "--kind", "spectrum")
    assert re.search(r"alizarin#1:spectrum:measured@1 .* 420\.0", listed.out)

    environment.install(versions[2])
    upgraded = look(environment, "synced")
    assert upgraded[INDIGO]["fields"] == {"n_points": 3, "peak_nm": 600.0, "solvent": "water"}
    assert without({INDIGO: upgraded[INDIGO]}, "fields") == without({INDIGO: at_first[INDIGO]}, "fields")
    written = environment.run("python", "-c", NEWER)
    names = [line.rpartition("/")[2] for line in written.out.splitlines()]
    assert names == ["indigo", "mauveine", "henna"], written.err
    newer = look(environment, "copied")[HENNA]
    assert newer["fields"] == {"n_points": 2, "peak_nm": 510.0, "solvent": "water"}

    environment.install(versions[1], *others(environment))
    assert look(environment, "synced") == at_first
    older = look(environment, "copied")
    unknown = older.pop(HENNA)
    assert older == at_first
    assert "molexp-spectrum 0.2.0 with schema 2, and molexp-spectrum 0.1.0 knows those up to 1" in unknown["problem"]
    assert without({HENNA: unknown}, "problem", "object") == without({HENNA: newer}, "problem", "object")

    environment.install(versions[2])
    assert look(environment, "copied")[HENNA] == newer


def others(environment: Environment) -> list[Path]:
    """Return the wheels of the other plugins of the page."""
    return [
        one
        for one in (environment.home.parent / "wheels").glob("molexp_*.whl")
        if re.match("molexp_(walk|ens)", one.name)
    ]


NEWER = """
import molexp as me
from molexp_spectrum.kinds import Spectrum
ws = me.Workspace.load("copied")
with ws.project("dyes").experiment("uv-vis").Run(id="henna").start() as ctx:
    ctx.save("measured", Spectrum((500.0, 510.0), (0.1, 0.2)))
for asset in ws.catalog.assets("peak_nm > 500 and solvent == 'water'", sort="-peak_nm"):
    print(asset.producer.run)
"""
