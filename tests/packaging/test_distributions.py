"""Every distribution builds, holds what it should, and works in a clean environment with only the plugins chosen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.repository import DISTRIBUTIONS, ROOT, files, pyproject

UV = os.environ.get("UV") or shutil.which("uv")
pytestmark = pytest.mark.skipif(UV is None, reason="uv builds the wheels and environments, and is not installed")

PACKAGES = {
    "molexp": None,
    "molexp-cli": "molexp_cli",
    "molexp-core": "molexp",
    "molexp-dask": "molexp_dask",
    "molexp-fs": "molexp_fs",
    "molexp-mcp": "molexp_mcp",
    "molexp-s3-store": "molexp_s3_store",
    "molexp-science": "molexp_science",
    "molexp-slurm": "molexp_slurm",
    "molexp-web": "molexp_web",
}


def uv(*arguments: str | Path, cwd: Path) -> None:
    """Run uv on what it has in its cache, and with the network only if that does not do."""
    command = [str(UV), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    offline = subprocess.run([*command, "--offline"], cwd=cwd, env=environment, capture_output=True, check=False)
    if offline.returncode:
        online = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        assert online.returncode == 0, online.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A copy of what is committed, without what lies about."""
    source: Path = tmp_path_factory.mktemp("source")
    for path in files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return source


BUILD = """
import os, sys, tarfile
from hatchling.build import build_sdist, build_wheel
built, unpacked, *folders = sys.argv[1:]
for folder in folders:
    os.chdir(folder)
    name = build_sdist(built)
    with tarfile.open(os.path.join(built, name)) as archive:
        archive.extractall(unpacked, filter="data")
    os.chdir(os.path.join(unpacked, name.removesuffix(".tar.gz")))
    build_wheel(built)
"""


@pytest.fixture(scope="module")
def dist(source, tmp_path_factory) -> Path:
    """All distributions, as uv builds them: each wheel from its source distribution. One process builds all of them."""
    built: Path = tmp_path_factory.mktemp("dist")
    folders = [source / folder.relative_to(ROOT) for folder in DISTRIBUTIONS.values()]
    command = [sys.executable, "-c", BUILD, built, tmp_path_factory.mktemp("unpacked"), *folders]
    subprocess.run(command, check=True, capture_output=True)
    return built


def test_uv_builds_the_same_with_nothing_but_what_is_declared(source, dist, tmp_path):
    """The one that it builds speaks for the others, which declare the same."""
    uv("build", "--package", "molexp-slurm", "--out-dir", tmp_path, cwd=source)
    assert {path.name for path in tmp_path.iterdir()} - {".gitignore"} == {
        path.name for path in dist.glob("molexp_slurm-*")
    }
    assert wheel(tmp_path, "molexp-slurm").read_bytes() == wheel(dist, "molexp-slurm").read_bytes()
    (declared,) = {str(pyproject(name)["build-system"]) for name in DISTRIBUTIONS}
    assert "hatchling" in declared


def wheel(dist: Path, name: str) -> Path:
    return next(dist.glob(f"{name.replace('-', '_')}-*.whl"))


def names_in(dist: Path, name: str) -> set[str]:
    with zipfile.ZipFile(wheel(dist, name)) as archive:
        return set(archive.namelist())


def metadata(dist: Path, name: str) -> Message:
    with zipfile.ZipFile(wheel(dist, name)) as archive:
        path = next(entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
        return HeaderParser().parsestr(archive.read(path).decode())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_holds_its_package_and_nothing_else(dist, name):
    package = PACKAGES[name]
    content = {entry for entry in names_in(dist, name) if ".dist-info/" not in entry}
    if package is None:
        assert content == set()
        return
    source = DISTRIBUTIONS[name] / "src"
    assert content == {str(path.relative_to(source)) for path in files() if path.is_relative_to(source)}
    assert f"{package}/py.typed" in content


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_carries_licence_and_readme(dist, name):
    assert any(entry.endswith(".dist-info/licenses/LICENSE") for entry in names_in(dist, name))
    head = metadata(dist, name)
    assert head["License-Expression"] == "BSD-3-Clause"
    assert head["Description-Content-Type"].startswith("text/markdown")
    assert str(head.get_payload()).startswith(f"# {'MolExp' if name == 'molexp' else name}\n")


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_source_distribution_leaves_tests_and_tools_out(dist, name):
    archive = next(dist.glob(f"{name.replace('-', '_')}-*.tar.gz"))
    with tarfile.open(archive) as tar:
        below = {member.split("/", 1)[1] for member in tar.getnames() if "/" in member}
    assert {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} <= below
    assert not [
        entry for entry in below if entry.startswith(("tests", "docs", "benchmarks", "examples", "tools", ".ci"))
    ]


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("molexp", {"molexp-cli", "molexp-core", "molexp-fs"}),
        ("molexp-cli", {"molexp-core", "rich", "typer"}),
        ("molexp-core", {"cattrs", "msgspec", "packaging", "platformdirs", "pluggy", "pyyaml"}),
        ("molexp-fs", {"molexp-core"}),
        ("molexp-mcp", {"mcp", "molexp-cli", "molexp-core", "typer"}),
        ("molexp-s3-store", {"attrs", "fsspec", "molexp-core", "obstore", "s3fs", "universal-pathlib"}),
        ("molexp-science", {"molexp-core"}),
        ("molexp-dask", {"distributed", "molexp-core"}),
        ("molexp-slurm", {"molexp-core"}),
        ("molexp-web", {"jinja2", "molexp-cli", "molexp-core", "pluggy", "starlette", "typer", "uvicorn"}),
    ],
)
def test_a_distribution_requires_no_more_than_the_design_gives_it(dist, name, needed):
    requirements = map(Requirement, metadata(dist, name).get_all("Requires-Dist") or ())
    assert {r.name for r in requirements if r.marker is None or r.marker.evaluate({"extra": ""})} == needed


class CleanEnvironment:
    """An environment with the wheels asked for, what they require, and nothing else."""

    def __init__(self, folder: Path, dist: Path, *names: str, pins: Iterable[str] | None = None) -> None:
        """`pins` are further requirements; without them, constraints.txt pins everything."""
        self.folder = folder
        uv("venv", "--python", sys.executable, folder / "venv", cwd=folder)
        self.python = folder / "venv" / "bin" / "python"
        wheels = [wheel(dist, name) for name in names]
        # In a folder of its own: nothing of the workspace that we come from. Our wheels are all given by path, so that
        # an index never has a say in them.
        chosen = ["--constraint", str(ROOT / "constraints.txt")] if pins is None else [*pins]
        uv("pip", "install", "--python", self.python, *chosen, *wheels, cwd=folder)

    def run(self, script: str) -> str:
        done = subprocess.run(
            [self.python, "-I", "-c", script], cwd=self.folder, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


TRACK = """
import molexp as me
ws = me.Workspace({url!r})
with ws.Project("metals").Experiment("cu", params={{"a": 3.6}}).Run(id="first").start() as ctx:
    ctx.set_result("energy", -3.7)
    ctx.artifact.save("volumes.json", [1, 2, 3])
    ctx.log("relax").append("done")
run = ws.run("metals/cu/first")
print(run.status, run.results["energy"], [row.id for row in ws.catalog.runs(status="succeeded")])
"""
TRACKED = "succeeded -3.7 ['first']\n"


@pytest.fixture(scope="module")
def core_alone(dist, tmp_path_factory) -> CleanEnvironment:
    return CleanEnvironment(tmp_path_factory.mktemp("core"), dist, "molexp-core")


@pytest.fixture(scope="module")
def the_whole(dist, tmp_path_factory) -> CleanEnvironment:
    # They bring pydantic and click, which nothing else does.
    names = DISTRIBUTIONS.keys() - {"molexp-mcp", "molexp-dask", "molexp-web"}
    return CleanEnvironment(tmp_path_factory.mktemp("whole"), dist, *sorted(names))


def test_the_core_alone_tracks_runs_in_memory(core_alone):
    assert core_alone.run(TRACK.format(url="memory://lab")) == TRACKED


def test_the_core_alone_names_the_package_that_opens_folders(core_alone):
    script = """
import molexp as me
from molexp.errors import PluginMissingError
try:
    me.Workspace("./lab").materialize()
except PluginMissingError as error:
    print(error)
"""
    assert "pip install molexp-fs" in core_alone.run(script)
    assert not (core_alone.folder / "lab").exists()


def test_the_core_alone_names_the_package_for_s3(core_alone):
    script = """
import molexp as me
from molexp.errors import PluginMissingError
try:
    me.Workspace("s3://bucket/lab").materialize()
except PluginMissingError as error:
    print(error)
"""
    assert "molexp-s3-store" in core_alone.run(script)


def test_the_core_alone_has_no_other_packages(core_alone):
    script = "from importlib.metadata import distributions; print(*sorted(d.name for d in distributions()))"
    assert set(core_alone.run(script).split()) == {
        "PyYAML",
        "attrs",
        "cattrs",
        "molexp-core",
        "msgspec",
        "packaging",
        "platformdirs",
        "pluggy",
        "typing_extensions",
    }


def runs_are_tracked_in_a_folder(environment: CleanEnvironment) -> None:
    assert environment.run(TRACK.format(url="./tracked")) == TRACKED
    run = environment.folder / "tracked" / "projects" / "metals" / "experiments" / "cu" / "runs" / "first"
    assert (run / "run.json").is_file()


def test_with_storage_for_file_systems_runs_are_tracked_in_a_folder(dist, tmp_path):
    runs_are_tracked_in_a_folder(CleanEnvironment(tmp_path, dist, "molexp-core", "molexp-fs"))


def test_with_the_whole_runs_are_tracked_in_a_folder(the_whole):
    runs_are_tracked_in_a_folder(the_whole)


def test_the_whole_brings_the_command_line(the_whole):
    program = the_whole.folder / "venv" / "bin" / "molexp"

    def molexp(*arguments: str) -> str:
        done = subprocess.run([program, *arguments], cwd=the_whole.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert molexp("--version") == f"molexp {version('molexp')}\n"
    assert molexp("-w", "lab", "exec", "p/e", "--id", "one", "--", "echo", "hello") == "hello\n"
    assert "succeeded" in molexp("-w", "lab", "show", "p/e/one")
    assert "loaded" in molexp("plugins", "check")
    script = "from importlib.metadata import distributions; print(*(d.name for d in distributions()))"
    assert not {"click", "pydantic"} & set(the_whole.run(script).split())


def test_the_command_line_needs_no_storage_plugin_to_say_which_one_is_missing(dist, tmp_path):
    CleanEnvironment(tmp_path, dist, "molexp-cli", "molexp-core")
    program = tmp_path / "venv" / "bin" / "molexp"
    done = subprocess.run(
        [program, "-w", "lab", "runs", "list"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4
    assert "pip install molexp-fs" in done.stderr


TOUCHING = (
    *("cli/test_manners.py", "cli/test_terminal.py", "cli/test_runs_list.py"),
    *("cli/test_formats.py", "cli/test_narrow.py", "cli/test_extending.py", "cli/test_show.py"),
    *("plugins/test_discovery.py", "plugins/test_isolation.py"),
    *("values/test_canonical.py", "values/test_documents.py", "values/test_plain.py"),
    *("examples/test_s22.py", "examples/test_digits.py"),
    *("stores/test_s3_fsspec.py", "stores/test_fsspec_store.py", "record/test_remote_paths.py"),
    *("record/test_life_cycle.py", "record/test_kinds.py", "record/test_profile_files.py"),
    "dask/test_losses.py",
    *("science/test_arrays.py", "science/test_tables.py", "science/test_tensors.py", "science/test_zarr.py"),
)
"""Modules that call each library in each way that we do."""
AREAS = {
    "oldest": TOUCHING,
    "newest": ("cli", "plugins", "values", "examples", *(one for one in TOUCHING if one.startswith(("s", "r")))),
}
AGAIN = (
    *("rudely", "two_at_once", "another_call", "everywhere"),  # examples that run again what another test has run
    *("another_process", "locale"),  # that the same calls are made in a process of its own
    *("reaches_a_terminal", "million_rows", "very_wide"),  # that values vary
)
"""Parts of the names of tests that make no other calls of libraries than the rest of their modules."""
TOOLS = (
    "boto3",
    "dask",
    "hypothesis",
    "moto[s3,server]",
    "numpy",
    "pyarrow",
    "pytest",
    "pytest-xdist",
    "xarray",
    "zarr",
)


def bounds() -> dict[str, str]:
    """The lowest version that any of our distributions, or one of its extras, admits of what it requires."""
    wanted: dict[str, Version] = {}
    for name in DISTRIBUTIONS:
        project = pyproject(name)["project"]
        extras = [text for group in project.get("optional-dependencies", {}).values() for text in group]
        for requirement in map(Requirement, [*project["dependencies"], *extras]):
            if requirement.name not in DISTRIBUTIONS:
                lowest = min(Version(clause.version) for clause in requirement.specifier)
                wanted[requirement.name] = max(lowest, wanted.get(requirement.name, lowest))
    return {name: f"{name}=={version}" for name, version in wanted.items()}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("oldest", marks=pytest.mark.soak),
        pytest.param("newest", marks=pytest.mark.long),  # newer than what is pinned: no gate hangs on others' releases
    ],
)
def at_the_edge(request, dist, tmp_path_factory) -> tuple[CleanEnvironment, list[Path]]:
    """All distributions with what they require at the oldest, or the newest, versions that they admit, and the tests."""
    folder = tmp_path_factory.mktemp(request.param)
    tests = [ROOT / "tests" / area for area in AREAS[request.param]]
    if request.param == "newest":
        return CleanEnvironment(folder, dist, *DISTRIBUTIONS, pins=["--upgrade", *bounds(), *TOOLS]), tests
    tools = [*TOOLS, "pyarrow<18"]  # it does not say that it needs a newer numpy than the oldest pandas does
    return CleanEnvironment(folder, dist, *DISTRIBUTIONS, pins=[*bounds().values(), *tools]), tests


def test_the_oldest_and_the_newest_versions_that_we_admit_will_do(at_the_edge):
    environment, tests = at_the_edge
    assert environment.run(TRACK.format(url="./lab")) == TRACKED
    # In one process: two would both import, and compile, all that these versions consist of.
    command: list[str | Path] = [environment.python, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *tests]
    command += ["-k", f"not ({' or '.join(AGAIN)})"]
    command += ["--ignore-glob=*/cli/test_run*.py"]  # workflows
    command += ["--ignore-glob=*/cli/test_screens.py"]  # each version of rich draws in its own way
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
