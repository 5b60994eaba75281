"""The structure of the code, as ``tools/structure.py`` measures it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def measure(*arguments: str) -> Any:
    command = [sys.executable, str(ROOT / "tools" / "structure.py"), "--json", "--no-probe", *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with two packages; ``low`` imports ``high`` against the order, for types only."""
    source = tmp_path / "molexp-core/src/molexp"
    for package in ("high", "low"):
        (source / package).mkdir(parents=True)
    layers = '["molexp.high", "molexp.low"]'
    (tmp_path / "pyproject.toml").write_text(
        f'[[tool.importlinter.contracts]]\nname = "n"\ntype = "layers"\nlayers = {layers}\n'
    )
    (source / "__init__.py").write_text("")
    (source / "high/__init__.py").write_text('"""Doc."""\n\n# A comment.\nfrom ..low import f\n\nx = [\n    f,\n]\n')
    (source / "low/__init__.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import molexp.high\n\n\n"
        'def f():\n    """Doc."""\n    from . import g\n    return g\n'
    )
    (source / "low/g.py").write_text("")
    return tmp_path


def test_lines_of_logic_are_code_without_imports_and_docstrings(checkout: Path) -> None:
    packages = measure(str(checkout))[str(checkout)]["packages"]
    assert packages["molexp.high"] == {"modules": 1, "lines": 8, "logic": 3}
    assert packages["molexp.low"]["logic"] == 3  # if, def, return


def test_imports_count_wherever_they_stand(checkout: Path) -> None:
    found = measure(str(checkout))[str(checkout)]
    assert found["against_the_order"] == ["molexp.low -> molexp.high"]
    assert found["largest_cycle"] == ["molexp.high", "molexp.low"]
    assert found["function_level_imports"] == 1


def test_the_picture_has_the_highest_package_first(checkout: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "structure.py"), "--picture", str(checkout)]
    drawn = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert [line.split() for line in drawn.splitlines()] == [["high", "low"], ["low", "high"]]
