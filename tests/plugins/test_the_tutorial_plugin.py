"""The plugin of docs/how-to/write-a-plugin.md is real: its files, as they stand there, are installed and used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-plugin.md"


def files_of_the_page() -> dict[str, str]:
    """Path to text of each code block that begins with its path."""
    blocks = re.findall(
        r"```(?:python|toml)\n# (\S+\.(?:py|toml))\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    return dict(blocks)


@pytest.fixture
def lab(site):
    """The tutorial's distribution, installed as pip would."""
    files = files_of_the_page()
    project = tomllib.loads(files["pyproject.toml"])["project"]
    site.install(
        project["name"],
        version=project["version"],
        entry_points=project["entry-points"]["molexp.plugins"],
        requires=project["dependencies"],
    )
    (site.folder / "molexp_lab.py").unlink()
    (site.folder / "molexp_lab").mkdir()
    (site.folder / "molexp_lab" / "__init__.py").write_text("")
    for path, text in files.items():
        if path.startswith("src/molexp_lab/"):
            (site.folder / path.removeprefix("src/")).write_text(text, encoding="utf-8")
    return site


def test_the_page_has_every_file_that_it_lists():
    assert set(files_of_the_page()) == {
        "pyproject.toml",
        "src/molexp_lab/plugin.py",
        "src/molexp_lab/kinds.py",
        "src/molexp_lab/store.py",
        "tests/test_kinds.py",
        "tests/test_store.py",
        "use_it.py",
    }


def test_its_kind_and_its_store_are_registered(lab):
    manager = lab.manager()

    assert [(info.name, info.status, info.cause) for info in manager.check()] == [("lab", "loaded", "")]
    assert list(manager.asset_kinds()) == ["geometry"]
    assert list(manager.storage_backends()) == ["sqlite"]


def test_a_run_with_a_geometry_is_tracked_in_a_database(lab):
    lab.python(files_of_the_page()["use_it.py"])

    assert (lab.folder.parent / "lab.db").stat().st_size > 0


@pytest.mark.parametrize("module", ["test_store.py", "test_kinds.py"])
def test_it_passes_the_conformance_kits(lab, module):
    (lab.folder.parent / module).write_text(files_of_the_page()[f"tests/{module}"], encoding="utf-8")

    report = lab.python(f"import sys, pytest; sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '{module}']))")

    assert re.search(r"\d\d+ passed", report)
    assert "failed" not in report
