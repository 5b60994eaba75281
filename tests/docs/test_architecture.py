"""The page on the architecture says what is."""

from __future__ import annotations

import ast
import re
import runpy
import tomllib
from typing import Any

import pytest

from tests.repository import ROOT

PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
CORE = ROOT / "molexp-core/src/molexp"
LONGEST_PATH = 3000  # lines of logic
LARGEST_CYCLE = 6  # modules: what a workspace, a project, an experiment and a run say of each other
LARGEST_PACKAGE = 1 / 8  # of the lines of logic of the core


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    """The names that `tools/structure.py` defines."""
    return runpy.run_path(str(ROOT / "tools/structure.py"), run_name="structure")


@pytest.fixture(scope="module")
def structure(tool) -> Any:
    """The core, as it finds it; that takes it a while."""
    return tool["examine"](ROOT)


def test_the_picture_is_what_the_imports_are(tool, structure):
    drawn = "\n".join(tool["picture"](structure, tool["layers"](ROOT)))
    assert f"```text\n{drawn}\n```" in PAGE, (
        "run `uv run python tools/structure.py --picture`, and put it into the page"
    )


def test_the_core_keeps_to_its_order(structure):
    assert structure.against_the_order == []


def test_few_modules_import_each_other_and_no_package_is_large(structure):
    assert len(structure.largest_cycle) <= LARGEST_CYCLE, structure.largest_cycle
    largest = max(structure.packages.values(), key=lambda package: package.logic)
    assert largest.logic <= LARGEST_PACKAGE * sum(package.logic for package in structure.packages.values())


def test_every_package_is_told():
    packages = {path.name for path in CORE.iterdir() if (path / "__init__.py").exists()}
    assert packages - set(re.findall(r"`(\w+)`", PAGE)) == {"workflow"}  # it only names what `_workflow` has


def test_each_package_says_what_it_is_for_in_a_few_lines():
    for path in CORE.glob("_*/**/__init__.py"):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        assert text, f"{path} does not say what it is for"
        assert len(text.splitlines()) <= 10, f"{path} says it at length"


def test_the_way_of_a_run_can_be_read_in_an_afternoon(tool):
    files = re.findall(r"^\d+\. \[`([\w/]+\.py)`\]", PAGE, re.MULTILINE)
    texts = [(CORE / file).read_text(encoding="utf-8") for file in files]
    lines = sum(tool["logic_lines"](text, ast.parse(text)) for text in texts)
    assert len(files) > 10
    assert lines <= LONGEST_PATH, lines


def test_the_walls_have_few_doors():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    assert sum(len(contract.get("ignore_imports", ())) for contract in contracts) <= 2
