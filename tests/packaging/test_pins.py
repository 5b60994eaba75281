"""Versions and pins: one number for all distributions, one set of pins for uv and pip."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.repository import DISTRIBUTIONS, ROOT, pyproject

CONSTRAINTS = [
    line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")
]


def test_all_distributions_have_one_version():
    assert len({pyproject(name)["project"]["version"] for name in DISTRIBUTIONS}) == 1


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_installed_metadata_tells_that_version(name):
    assert importlib.metadata.version(name) == pyproject(name)["project"]["version"]


def test_packages_tell_that_version():
    import molexp
    import molexp_cli
    import molexp_dask
    import molexp_fs
    import molexp_s3_store
    import molexp_science
    import molexp_slurm

    version = pyproject("molexp")["project"]["version"]
    packages = (molexp, molexp_cli, molexp_dask, molexp_fs, molexp_s3_store, molexp_science, molexp_slurm)
    assert {package.__version__ for package in packages} == {version}


def test_our_distributions_accept_each_other_and_not_the_next_minor_version():
    version = Version(pyproject("molexp")["project"]["version"])
    following = f"{version.major}.{version.minor + 1}"
    ours = [
        requirement
        for name in DISTRIBUTIONS
        for requirement in map(Requirement, pyproject(name)["project"]["dependencies"])
        if requirement.name in DISTRIBUTIONS
    ]
    assert {requirement.name for requirement in ours} == {"molexp-cli", "molexp-core", "molexp-fs"}
    for requirement in ours:
        assert requirement.specifier.contains(version)
        assert not requirement.specifier.contains(following)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_distribution_carries_the_licence(name):
    assert (DISTRIBUTIONS[name] / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_uv_and_pip_see_the_same_pins():
    settings = pyproject("molexp")["tool"]["uv"]
    assert settings["constraint-dependencies"] == CONSTRAINTS, "run `python tools/pin.py`"
    assert set(settings["build-constraint-dependencies"]) <= set(CONSTRAINTS)


def test_pins_are_exact():
    for requirement in map(Requirement, CONSTRAINTS):
        assert [clause.operator for clause in requirement.specifier] == ["=="], requirement


@pytest.mark.skipif(not sys.prefix.startswith(str(ROOT)), reason="not the environment that `uv run` makes")
def test_what_is_installed_here_is_what_is_pinned():
    pins: dict[str, str] = {}
    for requirement in map(Requirement, CONSTRAINTS):
        if requirement.marker is None or requirement.marker.evaluate():
            pins[canonicalize_name(requirement.name)] = next(iter(requirement.specifier)).version
    installed = {
        canonicalize_name(found.name): found.version
        for found in importlib.metadata.distributions(path=[p for p in sys.path if p.startswith(sys.prefix)])
    }
    unpinned = {name: version for name, version in installed.items() if pins.get(name) != version}
    assert unpinned.keys() <= DISTRIBUTIONS.keys(), f"run `python tools/pin.py`: {unpinned}"
