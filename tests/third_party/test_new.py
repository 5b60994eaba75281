"""A plugin that `molexp plugins new` begins works at once: it is found, harmless, typed, and its tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.repository import DISTRIBUTIONS

SORTS = ("kind", "store", "executor", "scheme", "queue", "command")
UV = os.environ.get("UV") or shutil.which("uv")


def installed(made: Path, site: Path) -> None:
    """Install a distribution in a folder, as ``pip install -e`` does: metadata, and a link to its code."""
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
    name, version = project["name"], project["version"]
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    requires = "".join(f"Requires-Dist: {one}\n" for one in project["dependencies"])
    about = f"Summary: {project['description']}\nRequires-Python: {project['requires-python']}\n"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{about}{requires}")
    ((entry, value),) = project["entry-points"]["molexp.plugins"].items()
    (info / "entry_points.txt").write_text(f"[molexp.plugins]\n{entry} = {value}\n")
    for package in (made / "src").iterdir():
        (site / package.name).symlink_to(package)


@pytest.mark.soak
def test_its_tests_pass_as_soon_as_it_is_installed(molexp, here, tmp_path):
    site = tmp_path / "site"
    for sort in SORTS:
        assert molexp("plugins", "new", sort, f"lab-{sort}").code == 0
        installed(here / f"lab-{sort}", site)
    options = [
        "-q",
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
        "-k",
        "not LabStoreStore",
    ]  # it takes its time
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"lab-{sort}/tests" for sort in SORTS)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.long
@pytest.mark.skipif(UV is None, reason="uv makes the environment, and is not installed")
def test_in_a_fresh_environment_its_kit_passes_and_its_types_are_right(molexp, here):
    def uv(*arguments: str | Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        subprocess.run([str(UV), *map(str, arguments)], cwd=here, env=environment, check=True)

    uv("venv", "env", "--python", sys.executable)
    python = here / "env" / "bin" / "python"
    ours = [word for name in ("molexp-core", "molexp-cli", "molexp-fs") for word in ("-e", DISTRIBUTIONS[name])]
    for sort in SORTS:
        assert molexp("plugins", "new", sort, f"lab-{sort}").code == 0
    made = [word for sort in SORTS for word in ("-e", f"lab-{sort}[test]")]
    uv("pip", "install", "--python", python, *ours, *made)
    for sort in SORTS:
        for tool in (["pytest", "-q"], ["mypy"]):
            done = subprocess.run(
                [python, "-m", *tool], cwd=here / f"lab-{sort}", capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    checked = subprocess.run([here / "env" / "bin" / "molexp", "plugins", "check"], cwd=here, check=False)
    assert checked.returncode == 0


def test_the_folder_is_told_and_never_written_over(molexp, here):
    made = molexp("plugins", "new", "kind", "molexp-spectra", "--into", "code", "--json").json()
    assert made["folder"] == "code/molexp-spectra"
    assert "src/molexp_spectra/kinds.py" in made["files"]
    assert all((here / made["folder"] / file).is_file() for file in made["files"])
    again = molexp("plugins", "new", "store", "molexp-spectra", "--into", "code")
    assert again.code == 4
    assert "exists already" in again.err
    assert not (here / made["folder"] / "src/molexp_spectra/store.py").exists()


@pytest.mark.parametrize("name", ["Lab", "../lab", "-lab", "lab-", "1lab", ""])
def test_a_name_that_no_distribution_may_have_is_refused(molexp, here, name):
    done = molexp("plugins", "new", "kind", "--", name)
    assert done.code == 2
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("sort", "name", "why"),
    [
        ("kind", "molexp-class", "Python does not take both as names"),
        ("kind", "molexp-none", "'none' and 'None', and Python"),
        ("scheme", "molexp-1x", "Python does not"),
        ("command", "molexp-import", "Python does not"),
        ("kind", "molexp-seed", "contexts have ctx.seed for something else"),
        ("kind", "molexp-params", "contexts have ctx.params"),
        ("kind", "molexp-data", "The asset kind 'data' is that of molexp-core"),
        ("store", "lab-x", ""),
        ("store", "molexp-file", "The storage backend 'file' is that of molexp-fs"),
        ("executor", "molexp-process", "The executor 'process' is that of molexp-core"),
        ("queue", "local", "The queue 'local' is that of molexp-core"),
        ("command", "molexp-runs", "MolExp has a command 'runs' itself"),
        ("kind", "molexp", "'molexp' is a package of MolExp itself"),
    ],
)
def test_a_name_that_nothing_of_its_sort_may_have_is_refused_before_anything_is_written(molexp, here, sort, name, why):
    done = molexp("plugins", "new", sort, name)
    assert (done.code, not list(here.iterdir())) == ((2, True) if why else (0, False))
    assert why in done.err


def test_a_sort_that_does_not_exist_is_refused_with_those_that_do(molexp):
    done = molexp("plugins", "new", "shelf", "molexp-lab")
    assert done.code == 2
    assert "'shelf' is none of kind, store, executor, scheme, queue, command" in done.err
