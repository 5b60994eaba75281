"""Every file of the repository keeps to these rules."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests import internals
from tests.repository import DISTRIBUTIONS, ROOT, files

# Spelled in pieces, so that this file does not hold what it looks for.
MACHINE = re.compile(
    "|".join(
        ["/" + "(?:root|work)/", "py" + r"pi\.org", "python" + "hosted", r"registry\.npm" + "js", "deb" + r"\.debian"]
    )
)
LONGEST_MODULE = 450
README = (ROOT / "README.md").read_text(encoding="utf-8")


def text_of(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def test_no_file_names_a_machine_or_a_registry():
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in files()
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if MACHINE.search(line)
    ]
    assert not named, "\n".join(named)


def test_no_lock_file_is_committed():
    assert not [path for path in files() if path.name.endswith(".lock")]
    assert "uv.lock" in (ROOT / ".gitignore").read_text().split()


def test_modules_are_short():
    lengths = {str(path.relative_to(ROOT)): len(text_of(path).splitlines()) for path in files() if path.suffix == ".py"}
    long = {name: length for name, length in lengths.items() if length > LONGEST_MODULE}
    assert not long, f"split along an idea: {long}"


def test_every_package_is_typed():
    for folder in DISTRIBUTIONS.values():
        for package in folder.glob("src/*/__init__.py"):
            assert (package.parent / "py.typed").is_file(), f"{package.parent} has no py.typed"


def test_the_gate_runs_the_command_of_the_readme():
    gate = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    fenced = re.findall(r"^```sh\n(.*?)\n```$", README, re.MULTILINE | re.DOTALL)
    assert "pip install uv && uv run pytest" in fenced
    assert "pip install uv && uv run molexp run examples/s22/s22.py" in fenced
    assert "\nstep 'pip install uv && uv run pytest'\n" in gate
    assert (ROOT / "examples" / "s22" / "s22.py").is_file()


HEAVY = (
    "asyncio",
    "fsspec",
    "matplotlib",
    "molexp.testing",
    "molexp.workflow",
    "molexp_dask",
    "molexp_fs",
    "mcp",
    "molexp_mcp",
    "molexp_s3_store",
    "molexp_science",
    "molexp_slurm",
    "molexp_web",
    "numpy",
    "pandas",
    "rich",
    "starlette",
    "typer",
    "yaml",
)


@pytest.mark.parametrize("module", ["molexp", "molexp.errors", "molexp.hookspecs"])
def test_importing_the_core_stays_light(module):
    script = f"import sys, {module}; print(*sorted(set(sys.modules) & set({(*HEAVY, *internals.LATE)!r})))"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
