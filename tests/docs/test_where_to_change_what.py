"""The page that says where a change begins names files and symbols that are there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.repository import ROOT

FOLDER = ROOT / "docs" / "explanation"
PAGE = (FOLDER / "where-to-change-what.md").read_text(encoding="utf-8")
ROWS = [row.strip("| ").split(" | ") for row in re.findall(r"^\| (?!you want to).*\|$", PAGE, re.MULTILINE)]
LINK = re.compile(r"\[[\w/.]+\]\((\.\./\.\./[\w/.-]+\.py)\)")


def package_of(path):
    """The package of the core in which a file lies, or the distribution."""
    distribution, _, _, *inside = path.relative_to(ROOT).parts
    return inside[0] if distribution == "molexp-core" else distribution


def defined_in(path):
    """Return the names that a module defines at its top, and in its classes."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names = names_of(node)
        found |= names
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for member in node.body for name in names_of(member)}
    return found


def names_of(node):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def places(row):
    """Each file that a row names, with the symbols that it says are there."""
    text = " | ".join(row[1:])
    pieces = LINK.split(text)
    for link, after in zip(pieces[1::2], pieces[2::2], strict=True):
        yield (FOLDER / link).resolve(), re.findall(r"`([\w.]+)`", after)


def test_there_are_many_and_each_is_named_once():
    assert len(ROWS) >= 20
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_files_and_symbols_are_there(row):
    found = list(places(row))
    assert found, "it names no file"
    for path, symbols in found:
        assert path.is_file(), path
        assert symbols, f"{path} is named without a symbol"
        missing = set(symbols) - defined_in(path)
        assert not missing, f"{path.name} does not define {missing}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_change_touches_one_package_or_the_page_says_why_not(row):
    packages = {package_of(path) for path, _ in places(row)}
    assert len(packages) == 1 or "because" in row[3], packages
